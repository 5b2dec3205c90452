#include "carillon/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "carillon/base/err.h"

#define V4_AT   12 /* bytes before an IPv4 address in IPv6's form */
#define V4_BITS (8 * V4_AT)

static const uint8_t V4_PREFIX[V4_AT] = {[10] = 0xFF, [11] = 0xFF};

bool car_address_is_v4(const struct car_address *address) {
    return memcmp(address->bytes, V4_PREFIX, V4_AT) == 0;
}

bool car_address_eq(const struct car_address *a, const struct car_address *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct car_address car_address_of_v4(const uint8_t bytes[4]) {
    struct car_address address;
    memcpy(address.bytes, V4_PREFIX, V4_AT);
    memcpy(address.bytes + V4_AT, bytes, 4);
    return address;
}

struct car_address car_address_of_v6(const uint8_t bytes[16]) {
    struct car_address address;
    memcpy(address.bytes, bytes, sizeof address.bytes);
    return address;
}

int car_address_parse(struct car_span text, struct car_address *out) {
    char copy[CAR_ADDRESS_TEXT];
    uint8_t bytes[16];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len)) {
        return CAR_EINVAL;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, bytes) == 1) {
        *out = car_address_of_v4(bytes);
        return CAR_OK;
    }
    if (inet_pton(AF_INET6, copy, bytes) == 1) {
        *out = car_address_of_v6(bytes);
        return CAR_OK;
    }
    return CAR_EINVAL;
}

/* A number without a leading zero. */
static bool read_number(struct car_span text, uint64_t max, uint64_t *out) {
    bool plain = text.len == 1 || (text.len > 1 && text.ptr[0] != '0');
    return plain && car_span_u64(text, max, out) == CAR_OK;
}

/* Nothing, or a colon and a port. */
static bool is_port(struct car_span rest) {
    uint64_t port;
    return rest.len == 0 ||
           (rest.ptr[0] == ':' && read_number(car_span_of(rest.ptr + 1, rest.len - 1), UINT16_MAX, &port) && port > 0);
}

int car_address_parse_with_port(struct car_span text, struct car_address *out) {
    struct car_address address;
    if (text.len == 0) {
        return CAR_EINVAL;
    }
    bool bracket = text.ptr[0] == '[';
    const char *first = text.ptr + bracket;
    const char *last = memchr(first, bracket ? ']' : ':', text.len - bracket);
    if (!last && bracket) {
        return CAR_EINVAL;
    }
    if (!last || (!bracket && memchr(last + 1, ':', (size_t)(text.ptr + text.len - last - 1)))) {
        return car_address_parse(text, out); /* of IPv6, where it has colons of its own */
    }
    struct car_span inner = car_span_of(first, (size_t)(last - first));
    struct car_span rest = car_span_of(last + bracket, (size_t)(text.ptr + text.len - last) - bracket);
    /* Brackets are for IPv6 (RFC 3986, section 3.2.2), which has colons however it is written. */
    bool colons = inner.len && memchr(inner.ptr, ':', inner.len);
    if (colons != bracket || !is_port(rest) || car_address_parse(inner, &address) != CAR_OK) {
        return CAR_EINVAL;
    }
    *out = address;
    return CAR_OK;
}

int car_address_of_sockaddr(const struct sockaddr *from, socklen_t len, struct car_address *out) {
    uint8_t bytes[16];
    if (len >= sizeof(struct sockaddr_in) && from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        memcpy(bytes, &v4.sin_addr, 4);
        *out = car_address_of_v4(bytes);
        return CAR_OK;
    }
    if (len >= sizeof(struct sockaddr_in6) && from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        memcpy(bytes, &v6.sin6_addr, 16);
        *out = car_address_of_v6(bytes);
        return CAR_OK;
    }
    return CAR_EINVAL;
}

size_t car_address_write(const struct car_address *address, char out[CAR_ADDRESS_TEXT]) {
    const uint8_t *v4 = address->bytes + V4_AT;
    if (car_address_is_v4(address)) {
        return (size_t)snprintf(out, CAR_ADDRESS_TEXT, "%u.%u.%u.%u", v4[0], v4[1], v4[2], v4[3]);
    }
    return inet_ntop(AF_INET6, address->bytes, out, CAR_ADDRESS_TEXT) ? strlen(out) : 0;
}

struct car_address car_address_key(const struct car_address *address) {
    struct car_address key = *address;
    if (!car_address_is_v4(address)) {
        memset(key.bytes + 8, 0, 8);
    }
    return key;
}

/* The bits of byte `i` that belong to the prefix. */
static uint8_t mask_of(const struct car_cidr *cidr, unsigned i) {
    unsigned before = 8 * i;
    if (cidr->bits >= before + 8) {
        return 0xFF;
    }
    return cidr->bits <= before ? 0 : (uint8_t)(0xFF00u >> (cidr->bits - before));
}

static bool same_prefix(const struct car_cidr *cidr, const struct car_address *address) {
    uint8_t differs = 0;
    for (unsigned i = 0; i < sizeof address->bytes; i++) {
        differs |= (uint8_t)((cidr->base.bytes[i] ^ address->bytes[i]) & mask_of(cidr, i));
    }
    return differs == 0;
}

static bool is_v4_range(const struct car_cidr *cidr) {
    return cidr->bits >= V4_BITS && car_address_is_v4(&cidr->base);
}

int car_cidr_parse(struct car_span text, struct car_cidr *out) {
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    struct car_span address = car_span_of(text.ptr, slash ? (size_t)(slash - text.ptr) : text.len);
    struct car_cidr cidr = {.bits = 128};
    if (car_address_parse(address, &cidr.base) != CAR_OK) {
        return CAR_EINVAL;
    }
    if (slash) {
        /* A prefix is counted in the form that is written. */
        unsigned before = memchr(address.ptr, ':', address.len) ? 0 : V4_BITS;
        uint64_t bits;
        if (!read_number(car_span_of(slash + 1, text.len - address.len - 1), 128 - before, &bits)) {
            return CAR_EINVAL;
        }
        cidr.bits = (uint8_t)(before + bits);
    }
    for (unsigned i = 0; i < sizeof cidr.base.bytes; i++) {
        if (cidr.base.bytes[i] & (uint8_t)~mask_of(&cidr, i)) {
            return CAR_EINVAL;
        }
    }
    *out = cidr;
    return CAR_OK;
}

bool car_cidr_has(const struct car_cidr *cidr, const struct car_address *address) {
    return is_v4_range(cidr) == car_address_is_v4(address) && same_prefix(cidr, address);
}

bool car_cidr_any_has(const struct car_cidr *cidrs, size_t count, const struct car_address *address) {
    for (size_t i = 0; i < count; i++) {
        if (car_cidr_has(&cidrs[i], address)) {
            return true;
        }
    }
    return false;
}
