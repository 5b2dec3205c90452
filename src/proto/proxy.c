#include "carillon/proto/proxy.h"

#include <assert.h>
#include <string.h>

#include "carillon/base/err.h"

#define SIGNATURE_LEN 12
#define AT_COMMAND    12
#define AT_FAMILY     13
#define AT_LENGTH     14

#define V2_LOCAL 0x20
#define V2_PROXY 0x21

#define TCP_OVER_V4 0x11
#define TCP_OVER_V6 0x21

#define TLV_HEAD   3 /* type and length */
#define TYPE_SUM   0x03
#define SUM_LEN    4
#define CRC32C     0x82F63B78u /* Castagnoli's polynomial, reflected */
#define ALL_ONES   0xFFFFFFFFu
#define LAST_OF(n) ((n)-1)

static const uint8_t SIGNATURE[SIGNATURE_LEN + 1] = "\r\n\r\n\0\r\nQUIT\n";

/* Bit by bit: a header has some fifty bytes, and a connection one header. */
static uint32_t sum_byte(uint32_t sum, uint8_t byte) {
    sum ^= byte;
    for (unsigned i = 0; i < 8; i++) {
        sum = sum >> 1 ^ (sum & 1 ? CRC32C : 0);
    }
    return sum;
}

static uint16_t pair_at(const struct car_proxy *proxy, unsigned at) {
    return (uint16_t)(proxy->head[at] << 8 | proxy->head[at + 1]);
}

/* Bytes of both addresses and ports; -1 where there is no such family and transport. */
static int addresses_len(uint8_t family) {
    switch (family) {
    case 0x00:
        return 0;
    case TCP_OVER_V4:
    case 0x12:
        return 2 * 4 + 4;
    case TCP_OVER_V6:
    case 0x22:
        return 2 * 16 + 4;
    case 0x31:
    case 0x32:
        return 2 * 108;
    default:
        return -1;
    }
}

/* The head's last byte is in: where the parts of the rest begin. */
static int read_head(struct car_proxy *proxy) {
    uint8_t family = proxy->head[AT_FAMILY];
    uint16_t rest = pair_at(proxy, AT_LENGTH);
    if (rest > CAR_PROXY_REST_MAX) {
        return CAR_ETOOBIG;
    }
    proxy->end = (uint16_t)(CAR_PROXY_HEAD + rest);
    proxy->addresses_end = proxy->end; /* all is passed over, but for these: */
    if (proxy->head[AT_COMMAND] == V2_PROXY) {
        int len = addresses_len(family);
        if (len < 0 || rest < len) {
            return CAR_EPROTO;
        }
        proxy->has_addresses = family == TCP_OVER_V4 || family == TCP_OVER_V6;
        if (proxy->has_addresses) {
            proxy->addresses_end = (uint16_t)(CAR_PROXY_HEAD + len);
        }
    }
    return CAR_OK;
}

static void read_addresses(struct car_proxy *proxy) {
    const uint8_t *from = proxy->head + CAR_PROXY_HEAD;
    bool v4 = proxy->head[AT_FAMILY] == TCP_OVER_V4;
    unsigned size = v4 ? 4 : 16;
    proxy->source = v4 ? car_address_of_v4(from) : car_address_of_v6(from);
    proxy->destination = v4 ? car_address_of_v4(from + size) : car_address_of_v6(from + size);
    proxy->source_port = pair_at(proxy, CAR_PROXY_HEAD + 2 * size);
    proxy->destination_port = pair_at(proxy, CAR_PROXY_HEAD + 2 * size + 2);
}

/* Whatever cannot be read on is told with the byte that shows it. */
static int take_head(struct car_proxy *proxy, uint8_t byte) {
    unsigned at = proxy->at;
    proxy->head[at] = byte;
    if (at < SIGNATURE_LEN) {
        return byte == SIGNATURE[at] ? CAR_OK : CAR_EPROTO;
    }
    if (at == AT_COMMAND) {
        return byte == V2_LOCAL || byte == V2_PROXY ? CAR_OK : CAR_EPROTO;
    }
    return at == LAST_OF(CAR_PROXY_HEAD) ? read_head(proxy) : CAR_OK;
}

/* The length of an element is known: it has to end within the header, and a checksum comes once. */
static int check_element(struct car_proxy *proxy) {
    if (proxy->tlv_len > proxy->end - proxy->at - 1) {
        return CAR_EPROTO;
    }
    if (proxy->tlv_type == TYPE_SUM) {
        if (proxy->summed || proxy->tlv_len != SUM_LEN) {
            return CAR_EPROTO;
        }
        proxy->summed = true;
    }
    return CAR_OK;
}

/* Returns what the byte counts as in the checksum, or an error: a checksum's own bytes count as zeros. */
static int take_element(struct car_proxy *proxy, uint8_t byte) {
    unsigned at = proxy->tlv_at++;
    int counts_as = byte;
    int err = CAR_OK;
    if (at == 0) {
        proxy->tlv_type = byte;
    } else if (at < TLV_HEAD) {
        proxy->tlv_len = (uint16_t)(proxy->tlv_len << 8 | byte);
        err = at == LAST_OF(TLV_HEAD) ? check_element(proxy) : CAR_OK;
    } else if (proxy->tlv_type == TYPE_SUM) {
        proxy->told = proxy->told << 8 | byte;
        counts_as = 0;
    }
    if (proxy->tlv_at >= TLV_HEAD && proxy->tlv_at == TLV_HEAD + proxy->tlv_len) {
        proxy->tlv_at = proxy->tlv_len = 0;
    }
    return err ? err : counts_as;
}

static int take(struct car_proxy *proxy, uint8_t byte) {
    int counts_as = byte;
    int err = CAR_OK;
    if (proxy->at < CAR_PROXY_HEAD) {
        err = take_head(proxy, byte);
    } else if (proxy->at < proxy->addresses_end) {
        if (proxy->has_addresses) {
            proxy->head[proxy->at] = byte;
        }
    } else {
        counts_as = take_element(proxy, byte);
        err = counts_as < 0 ? counts_as : CAR_OK;
    }
    if (err) {
        return err;
    }
    proxy->sum = sum_byte(proxy->at ? proxy->sum : ALL_ONES, (uint8_t)counts_as);
    proxy->at++;
    proxy->done = proxy->at >= CAR_PROXY_HEAD && proxy->at == proxy->end;
    return CAR_OK;
}

/* The last byte is in. */
static int finish(struct car_proxy *proxy) {
    if (proxy->tlv_at || (proxy->summed && (proxy->sum ^ ALL_ONES) != proxy->told)) {
        return CAR_EPROTO;
    }
    if (proxy->has_addresses) {
        read_addresses(proxy);
    }
    return CAR_OK;
}

int car_proxy_feed(struct car_proxy *proxy, const char *bytes, size_t len, size_t *consumed) {
    assert(!proxy->done);
    size_t n = 0;
    int err = CAR_OK;
    while (!err && n < len && !proxy->done) {
        err = take(proxy, (uint8_t)bytes[n++]);
    }
    *consumed = n;
    if (!err && proxy->done) {
        err = finish(proxy);
        proxy->done = !err;
    }
    return err;
}
