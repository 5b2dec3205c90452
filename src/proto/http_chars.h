#ifndef CARILLON_SRC_PROTO_HTTP_CHARS_H
#define CARILLON_SRC_PROTO_HTTP_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* How many bytes at the front are of those classes. */
static inline size_t http_run(const char *bytes, size_t len, unsigned classes) {
    size_t n = 0;
    while (n < len && http_is(bytes[n], classes)) {
        n++;
    }
    return n;
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
