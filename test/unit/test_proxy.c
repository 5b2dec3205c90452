#include "carillon/proto/proxy.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"

#include "suite.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xC0\x00\x02\x01\xC6\x33\x64\x02\x12\x67\x1F\x90" /* 192.0.2.1:4711 to 198.51.100.2:8080 */
#define V6_SOURCE "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_TARGET "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define V6        V6_SOURCE V6_TARGET "\x12\x67\x1F\x90"

/* A header: the bytes behind the signature are `command`, `family`, the length of `rest`, and `rest`. */
static struct car_buf header(unsigned command, unsigned family, const void *rest, size_t len) {
    struct car_buf out = CAR_BUF_INIT;
    CAR_BUF_LIT(&out, SIGNATURE);
    car_buf_char(&out, (char)command);
    car_buf_char(&out, (char)family);
    car_buf_char(&out, (char)(len >> 8));
    car_buf_char(&out, (char)len);
    car_buf_put(&out, rest, len);
    return out;
}

#define HEADER(command, family, lit) header((command), (family), (lit), sizeof(lit) - 1)

/* Fed in pieces that end at `cuts`, each in memory of its own, so that reading beyond one shows; with more behind the
 * last. Returns the result, and in *used how many bytes were taken until then. */
static int feed_cut(struct car_proxy *proxy, struct car_span bytes, const size_t *cuts, size_t cut_count,
                    size_t *used) {
    size_t from = 0;
    *proxy = (struct car_proxy){0};
    *used = 0;
    for (size_t i = 0; i <= cut_count; i++) {
        size_t to = i < cut_count ? cuts[i] : bytes.len;
        size_t consumed = SIZE_MAX;
        char *piece = malloc(to - from + 1);
        if (to > from) {
            memcpy(piece, bytes.ptr + from, to - from);
        }
        int err = car_proxy_feed(proxy, piece + (to == from), to - from, &consumed);
        free(piece);
        CU_ASSERT_TRUE(consumed <= to - from);
        *used += consumed;
        if (err || proxy->done) {
            return err;
        }
        CU_ASSERT_EQUAL(consumed, to - from);
        from = to;
    }
    return 0;
}

static bool same(const struct car_proxy *a, const struct car_proxy *b) {
    return a->done == b->done && a->has_addresses == b->has_addresses && a->source_port == b->source_port &&
           a->destination_port == b->destination_port && car_address_eq(&a->source, &b->source) &&
           car_address_eq(&a->destination, &b->destination);
}

/* Whole, byte by byte, in every two and (the short ones) every three pieces: the same comes out. Frees `bytes`. */
static int feed(struct car_proxy *out, struct car_buf *bytes, size_t *used) {
    struct car_span all = car_buf_view(bytes);
    int err = feed_cut(out, all, NULL, 0, used);
    size_t *each = calloc(all.len + 1, sizeof *each);
    for (size_t i = 0; i < all.len; i++) {
        each[i] = i;
    }
    for (size_t i = 0; i <= all.len; i++) {
        for (size_t j = i; j <= (all.len < 80 ? all.len : i); j++) {
            struct car_proxy again;
            size_t again_used;
            CU_ASSERT_EQUAL(feed_cut(&again, all, (size_t[]){i, j}, 2, &again_used), err);
            CU_ASSERT_EQUAL(again_used, *used);
            CU_ASSERT_TRUE(same(out, &again));
        }
    }
    struct car_proxy again;
    size_t again_used;
    CU_ASSERT_EQUAL(feed_cut(&again, all, each, all.len, &again_used), err);
    CU_ASSERT_EQUAL(again_used, *used);
    CU_ASSERT_TRUE(same(out, &again));
    free(each);
    car_buf_free(bytes);
    return err;
}

static bool is(const struct car_address *address, const char *text) {
    char written[CAR_ADDRESS_TEXT];
    car_address_write(address, written);
    return strcmp(written, text) == 0;
}

static void test_v4(void) {
    struct car_proxy proxy;
    size_t used;
    struct car_buf bytes = HEADER(0x21, 0x11, V4);
    size_t len = bytes.len;
    CAR_BUF_LIT(&bytes, "GET / HTTP/1.1\r\n");
    CU_ASSERT_EQUAL_FATAL(feed(&proxy, &bytes, &used), 0);
    CU_ASSERT_TRUE(proxy.done);
    CU_ASSERT_TRUE(proxy.has_addresses);
    CU_ASSERT_EQUAL(used, len);
    CU_ASSERT_TRUE(is(&proxy.source, "192.0.2.1"));
    CU_ASSERT_TRUE(is(&proxy.destination, "198.51.100.2"));
    CU_ASSERT_EQUAL(proxy.source_port, 4711);
    CU_ASSERT_EQUAL(proxy.destination_port, 8080);
}

static void test_v6(void) {
    struct car_proxy proxy;
    size_t used;
    struct car_buf bytes = HEADER(0x21, 0x21, V6);
    CU_ASSERT_EQUAL_FATAL(feed(&proxy, &bytes, &used), 0);
    CU_ASSERT_TRUE(proxy.done && proxy.has_addresses);
    CU_ASSERT_EQUAL(used, 16 + 36);
    CU_ASSERT_TRUE(is(&proxy.source, "2001:db8::1"));
    CU_ASSERT_TRUE(is(&proxy.destination, "2001:db8::2"));
    CU_ASSERT_EQUAL(proxy.source_port, 4711);
    CU_ASSERT_EQUAL(proxy.destination_port, 8080);
}

static void test_own_address(void) {
    static const char UNIX[216];
    struct {
        struct car_buf bytes;
    } all[] = {
        {HEADER(0x20, 0x00, "")},
        {HEADER(0x20, 0x11, V4)},
        {HEADER(0x20, 0xFF, "anything")},
        {HEADER(0x20, 0x11, "short")},
        {HEADER(0x21, 0x00, "")},
        {HEADER(0x21, 0x00, "no element")},
        {HEADER(0x21, 0x12, V4)},
        {HEADER(0x21, 0x22, V6)},
        {header(0x21, 0x31, UNIX, sizeof UNIX)},
        {header(0x21, 0x32, UNIX, sizeof UNIX)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct car_proxy proxy;
        size_t used;
        size_t len = all[i].bytes.len;
        CAR_BUF_LIT(&all[i].bytes, "G");
        CU_ASSERT_EQUAL(feed(&proxy, &all[i].bytes, &used), 0);
        CU_ASSERT_TRUE(proxy.done);
        CU_ASSERT_FALSE(proxy.has_addresses);
        CU_ASSERT_EQUAL(used, len);
    }
}

/* Whatever is cut short only wants more. */
static void test_truncated(void) {
    struct car_buf bytes = HEADER(0x21, 0x21, V6 "\x04\0\x02no");
    for (size_t len = 0; len < bytes.len; len++) {
        struct car_proxy proxy;
        size_t used;
        CU_ASSERT_EQUAL(feed_cut(&proxy, car_span_of(bytes.data, len), NULL, 0, &used), 0);
        CU_ASSERT_FALSE(proxy.done);
        CU_ASSERT_EQUAL(used, len);
    }
    car_buf_free(&bytes);
}

/* Expects the error with the byte at `at`, not earlier or later. */
static void refused_at(struct car_buf bytes, int expected, size_t at) {
    struct car_proxy proxy;
    size_t used;
    CU_ASSERT_EQUAL(feed(&proxy, &bytes, &used), expected);
    CU_ASSERT_FALSE(proxy.done);
    CU_ASSERT_EQUAL(used, at + 1);
}

static struct car_buf copy_of(const char *bytes, size_t len) {
    struct car_buf out = CAR_BUF_INIT;
    car_buf_put(&out, bytes, len);
    return out;
}

#define COPY(lit) copy_of((lit), sizeof(lit) - 1)

static void test_signature(void) {
    refused_at(COPY("PROXY TCP4 192.0.2.1 198.51.100.2 4711 8080\r\n"), CAR_EPROTO, 0);
    refused_at(COPY("GET / HTTP/1.1\r\n\r\n"), CAR_EPROTO, 0);
    refused_at(COPY("\r\nGET / HTTP/1.1\r\n\r\n"), CAR_EPROTO, 2);
    refused_at(COPY("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), CAR_EPROTO, 4);
    for (size_t at = 0; at < 12; at++) {
        struct car_buf bytes = HEADER(0x21, 0x11, V4);
        bytes.data[at] ^= 0x20;
        refused_at(bytes, CAR_EPROTO, at);
    }
}

static void test_commands_and_families(void) {
    for (unsigned command = 0; command < 256; command++) {
        if (command != 0x20 && command != 0x21) {
            refused_at(HEADER(command, 0x11, V4), CAR_EPROTO, 12);
        }
    }
    for (unsigned family = 0; family < 256; family++) {
        unsigned transport = family & 15;
        bool known = family == 0 || ((transport == 1 || transport == 2) && family >> 4 >= 1 && family >> 4 <= 3);
        if (!known) {
            refused_at(HEADER(0x21, family, V6), CAR_EPROTO, 15);
        }
    }
}

static void test_lengths(void) {
    static const char ZEROS[216];
    static const struct {
        unsigned family;
        size_t len;
    } LEAST[] = {{0x11, 12}, {0x12, 12}, {0x21, 36}, {0x22, 36}, {0x31, 216}, {0x32, 216}};
    for (size_t i = 0; i < sizeof LEAST / sizeof *LEAST; i++) {
        for (size_t len = 0; len < LEAST[i].len; len += len + 12 < LEAST[i].len ? 5 : 1) {
            refused_at(header(0x21, LEAST[i].family, ZEROS, len), CAR_EPROTO, 15);
        }
    }
}

static void test_oversized(void) {
    struct car_buf rest = CAR_BUF_INIT;
    struct car_proxy proxy;
    size_t used;
    CAR_BUF_LIT(&rest, V4 "\x04\x0F\xF1");
    while (rest.len < CAR_PROXY_REST_MAX) {
        car_buf_char(&rest, 'n');
    }
    struct car_buf fits = header(0x21, 0x11, rest.data, rest.len);
    size_t len = fits.len;
    CU_ASSERT_EQUAL(feed_cut(&proxy, car_buf_view(&fits), NULL, 0, &used), 0);
    CU_ASSERT_TRUE(proxy.done);
    CU_ASSERT_EQUAL(used, len);
    CU_ASSERT_TRUE(is(&proxy.source, "192.0.2.1"));
    car_buf_free(&fits);
    car_buf_char(&rest, 'n');
    struct car_buf large = header(0x21, 0x11, rest.data, rest.len);
    CU_ASSERT_EQUAL(feed_cut(&proxy, car_buf_view(&large), NULL, 0, &used), CAR_ETOOBIG);
    CU_ASSERT_EQUAL(used, 16);
    car_buf_free(&large);
    large = header(0x20, 0x00, rest.data, rest.len);
    CU_ASSERT_EQUAL(feed_cut(&proxy, car_buf_view(&large), NULL, 0, &used), CAR_ETOOBIG);
    car_buf_free(&large);
    refused_at(COPY(SIGNATURE "\x21\x11\xFF\xFF" V4), CAR_ETOOBIG, 15);
    car_buf_free(&rest);
}

static void test_elements(void) {
    struct car_proxy proxy;
    size_t used;
    struct car_buf good[] = {
        HEADER(0x21, 0x11, V4 "\x04\0\0"),
        HEADER(0x21, 0x11, V4 "\x01\0\x02h2\x02\0\x01h\x04\0\0"),
        HEADER(0x21, 0x21, V6 "\x20\0\x08\x01\0\0\0\0\xFF\xFF\xFF"),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT_EQUAL(feed(&proxy, &good[i], &used), 0);
        CU_ASSERT_TRUE(proxy.done && proxy.has_addresses);
    }
    refused_at(HEADER(0x21, 0x11, V4 "\x04"), CAR_EPROTO, 16 + 12);
    refused_at(HEADER(0x21, 0x11, V4 "\x04\0"), CAR_EPROTO, 16 + 12 + 1);
    refused_at(HEADER(0x21, 0x11, V4 "\x04\0\x01"), CAR_EPROTO, 16 + 12 + 2);
    refused_at(HEADER(0x21, 0x11, V4 "\x04\xFF\xFF.."), CAR_EPROTO, 16 + 12 + 2);
    refused_at(HEADER(0x21, 0x11, V4 "\x04\0\x01.\x05\0\x02."), CAR_EPROTO, 16 + 12 + 6);
    refused_at(HEADER(0x21, 0x11, V4 "\x03\0\x03..."), CAR_EPROTO, 16 + 12 + 2);
}

/* CRC32c by its table, the textbook's way (RFC 3720, appendix B.4), as a second opinion. */
static uint32_t sum_of(struct car_span bytes) {
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t entry = i;
        for (unsigned bit = 0; bit < 8; bit++) {
            entry = entry & 1 ? entry >> 1 ^ 0x82F63B78u : entry >> 1;
        }
        table[i] = entry;
    }
    uint32_t sum = 0xFFFFFFFFu;
    for (size_t i = 0; i < bytes.len; i++) {
        sum = sum >> 8 ^ table[(sum ^ (uint8_t)bytes.ptr[i]) & 0xFF];
    }
    return ~sum;
}

/* With the right checksum, whose four bytes stand at `at`. */
static struct car_buf summed(struct car_buf bytes, size_t at) {
    uint32_t sum = sum_of(car_buf_view(&bytes));
    for (unsigned i = 0; i < 4; i++) {
        bytes.data[at + i] = (char)(sum >> (24 - 8 * i));
    }
    return bytes;
}

static void test_checksum(void) {
    CU_ASSERT_EQUAL(sum_of(CAR_SPAN("123456789")), 0xE3069283u); /* RFC 3720's polynomial, the usual check value */
    struct car_proxy proxy;
    size_t used;
    struct car_buf alone = summed(HEADER(0x21, 0x11, V4 "\x03\0\x04\0\0\0\0"), 31);
    CU_ASSERT_EQUAL(feed(&proxy, &alone, &used), 0);
    CU_ASSERT_TRUE(proxy.done);
    struct car_buf amid = summed(HEADER(0x21, 0x11, V4 "\x04\0\x01n\x03\0\x04\0\0\0\0\x04\0\x02no"), 35);
    CU_ASSERT_EQUAL(feed(&proxy, &amid, &used), 0);
    CU_ASSERT_TRUE(proxy.done);
    /* Any byte behind the head that is another one. */
    for (size_t at = 16; at < 28; at++) {
        struct car_buf bad = summed(HEADER(0x21, 0x11, V4 "\x03\0\x04\0\0\0\0"), 31);
        bad.data[at] ^= 1;
        refused_at(bad, CAR_EPROTO, 34);
    }
    for (size_t at = 31; at < 35; at++) {
        struct car_buf bad = summed(HEADER(0x21, 0x11, V4 "\x03\0\x04\0\0\0\0"), 31);
        bad.data[at] ^= 0x10;
        refused_at(bad, CAR_EPROTO, 34);
    }
    refused_at(HEADER(0x21, 0x11, V4 "\x03\0\x04\0\0\0\0\x03\0\x04\0\0\0\0"), CAR_EPROTO, 37); /* twice */
}

static const struct car_test TESTS[] = {
    {"IPv4", test_v4},
    {"IPv6", test_v6},
    {"the socket's own address", test_own_address},
    {"truncated", test_truncated},
    {"signature", test_signature},
    {"commands and families", test_commands_and_families},
    {"lengths", test_lengths},
    {"oversized", test_oversized},
    {"elements", test_elements},
    {"checksum", test_checksum},
};

int main(void) {
    return car_suite_main("proxy", TESTS, sizeof TESTS / sizeof *TESTS);
}
