#ifndef CARILLON_SRC_PROTO_HTTP_CHARS_H
#define CARILLON_SRC_PROTO_HTTP_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/bytes16.h"
#include "carillon/base/span.h"

/* Classes of bytes, one bit each (RFC 9110, sections 5.5 and 5.6; RFC 3986, section 3.2.2). */
enum {
    HTTP_TCHAR = 1,   /* of a token */
    HTTP_FIELD = 2,   /* of a field's value: HTAB, SP, VCHAR, obs-text */
    HTTP_TARGET = 4,  /* of a request-target as it is taken here: VCHAR, but no "#" */
    HTTP_QDTEXT = 8,  /* of a quoted string, unescaped */
    HTTP_REGNAME = 16 /* of a host's name, percent signs included */
};

extern const uint8_t car_http_chars[256];

static inline bool http_is(char c, unsigned classes) {
    return (car_http_chars[(uint8_t)c] & classes) != 0;
}

/*
 * For each class what most of its texts consist of, sixteen bytes at a time: marks every byte outside of the class, and
 * some of those inside, on which the table has the last word.
 */
static inline car_bytes16 http_no_word(car_bytes16 b) { /* letters, digits, "-", "." */
    car_bytes16 letter = car_bytes16_range(b | car_bytes16_all(0x20), 'a', 'z');
    return ~(letter | (car_bytes16_range(b, '-', '9') & ~car_bytes16_equal(b, '/')));
}

static inline car_bytes16 http_no_field(car_bytes16 b) {
    return car_bytes16_range(b, 0x00, 0x1f) | car_bytes16_equal(b, 0x7f);
}

static inline car_bytes16 http_no_target(car_bytes16 b) {
    return car_bytes16_not_ascii_from(b, 0x21) | car_bytes16_equal(b, '#') | car_bytes16_equal(b, 0x7f);
}

/* How many bytes at the front are of that one class. */
static inline __attribute__((always_inline)) size_t http_run(const char *bytes, size_t len, unsigned class) {
    const char *p = bytes;
    const char *end = bytes + len;
    for (;; p++) {
        p = car_bytes16_find(p, end,
                             class == HTTP_FIELD    ? http_no_field
                             : class == HTTP_TARGET ? http_no_target
                                                    : http_no_word);
        if (p == end || !http_is(*p, class)) {
            return (size_t)(p - bytes);
        }
    }
}

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static inline bool http_is_token(struct car_span s) {
    return s.len > 0 && http_run(s.ptr, s.len, HTTP_TCHAR) == s.len;
}

#endif
