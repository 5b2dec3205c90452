#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/proto/proxy.h"

/* The input is the beginning of a connection. How it is cut makes no difference, and what comes out holds together. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static int feed(struct car_proxy *proxy, const char *bytes, size_t len, size_t piece, size_t *used) {
    int err = 0;
    *proxy = (struct car_proxy){0};
    *used = 0;
    while (!err && !proxy->done && *used < len) {
        size_t some = len - *used < piece ? len - *used : piece;
        size_t consumed = 0;
        err = car_proxy_feed(proxy, bytes + *used, some, &consumed);
        require(consumed <= some && (err || proxy->done || consumed == some));
        *used += consumed;
    }
    return err;
}

static void check(const struct car_proxy *proxy, int err, const char *bytes, size_t used) {
    char text[CAR_ADDRESS_TEXT];
    require(err == CAR_OK || err == CAR_EPROTO || err == CAR_ETOOBIG);
    require(used <= CAR_PROXY_HEAD + CAR_PROXY_REST_MAX && !(err && proxy->done));
    if (proxy->done) {
        require(used >= CAR_PROXY_HEAD && memcmp(bytes, "\r\n\r\n\0\r\nQUIT\n", 12) == 0);
        require(used == CAR_PROXY_HEAD + ((size_t)(uint8_t)bytes[14] << 8 | (uint8_t)bytes[15]));
        require(!proxy->has_addresses || car_address_write(&proxy->source, text) > 0);
        require(!proxy->has_addresses || bytes[13] != 0x11 || car_address_is_v4(&proxy->source));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t PIECES[] = {1, 3, 17};
    const char *bytes = (const char *)data;
    struct car_proxy whole;
    size_t used;
    int err = feed(&whole, bytes, size, SIZE_MAX, &used);
    check(&whole, err, bytes, used);
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
        struct car_proxy cut;
        size_t cut_used;
        require(feed(&cut, bytes, size, PIECES[i], &cut_used) == err && cut_used == used && cut.done == whole.done);
        require(cut.has_addresses == whole.has_addresses && car_address_eq(&cut.source, &whole.source));
        require(cut.source_port == whole.source_port && cut.destination_port == whole.destination_port);
        require(car_address_eq(&cut.destination, &whole.destination));
    }
    return 0;
}
