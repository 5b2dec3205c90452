#ifndef CARILLON_SRC_PROTO_JSON_CHARS_H
#define CARILLON_SRC_PROTO_JSON_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "carillon/base/bytes16.h"

/*
 * What the files of the JSON codec share about characters inside strings: what stops a run of bytes that may be passed
 * over or copied as they are, for car_bytes16_find. Where two bytes differ in one bit, one comparison is for both.
 */

/* The quote and the backslash. */
static inline car_bytes16 json_delimiter(car_bytes16 b) {
    return car_bytes16_equal(b, '"') | car_bytes16_equal(b, '\\');
}

/* Those, control characters, and the bytes of characters above U+007F: what a validator has to look at. */
static inline car_bytes16 json_no_plain(car_bytes16 b) {
    return json_delimiter(b) | car_bytes16_not_ascii_from(b, 0x20);
}

/* < > & and the quote. */
static inline car_bytes16 json_html(car_bytes16 b) {
    return car_bytes16_equal(b | car_bytes16_all('"' ^ '&'), '&') |
           car_bytes16_equal(b | car_bytes16_all('<' ^ '>'), '>');
}

/* What may have to be escaped in valid text, and ^ | ~, so that < > and the backslash cost one comparison. The lead
 * byte of U+2028 is that of many other characters, so a hit has to be looked at anyway. */
static inline car_bytes16 json_rewritten(car_bytes16 b) {
    return car_bytes16_equal(b | car_bytes16_all('"' ^ '&'), '&') |
           car_bytes16_equal(b | car_bytes16_all(('<' ^ '>') | ('<' ^ '\\')), '>' | '\\') | car_bytes16_equal(b, 0xe2);
}

/* What may have to be escaped in any text. */
static inline car_bytes16 json_no_literal(car_bytes16 b) {
    return json_html(b) | car_bytes16_equal(b, '\\') | car_bytes16_not_ascii_from(b, 0x20);
}

/* What makes the number of characters another than that of bytes. */
static inline car_bytes16 json_no_single(car_bytes16 b) {
    return b | car_bytes16_equal(b, '\\');
}

static inline bool json_is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *json_skip_space(const char *p, const char *end) {
    while (p < end && json_is_space(*p)) {
        p++;
    }
    return p;
}

static inline int json_hex(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hexadecimal digits, or -1. */
static inline int json_hex4(const char *p, const char *end) {
    if (end - p < 4) {
        return -1;
    }
    int n = 0;
    for (int i = 0; i < 4; i++) {
        int digit = json_hex(p[i]);
        if (digit < 0) {
            return -1;
        }
        n = n << 4 | digit;
    }
    return n;
}

static inline bool json_is_high_surrogate(int unit) {
    return unit >= 0xd800 && unit <= 0xdbff;
}

static inline bool json_is_low_surrogate(int unit) {
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* The length of the valid UTF-8 character above U+007F that starts at `p` (RFC 3629, section 4), or 0. */
static inline unsigned json_wide_len(const char *p, const char *end) {
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    unsigned char lead = u[0];
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    unsigned len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < len) {
        return 0;
    }
    unsigned char lo = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char hi = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (u[1] < lo || u[1] > hi || (len > 2 && (u[2] & 0xc0) != 0x80) || (len > 3 && (u[3] & 0xc0) != 0x80)) {
        return 0;
    }
    return len;
}

/* Whether U+2028 or U+2029 stands at `p`: line ends in JavaScript before ES2019, so they are written as escapes. */
static inline bool json_is_line_separator(const char *p, const char *end) {
    return end - p >= 3 && p[0] == '\xe2' && p[1] == '\x80' && (p[2] == '\xa8' || p[2] == '\xa9');
}

/* Decodes what stands at `p` in the body of a validated string literal, one escape (a surrogate pair is one) or one
 * byte, to 1 to 4 bytes of UTF-8 in `out`; their number is returned and *p moved on. */
static inline unsigned json_decode_unit(const char **p, const char *end, char out[4]) {
    const char *at = *p;
    if (*at != '\\' || end - at < 2) {
        out[0] = *at;
        *p = at + 1;
        return 1;
    }
    int unit = at[1] == 'u' ? json_hex4(at + 2, end) : -1;
    if (unit < 0) {
        static const char from[] = "bfnrt";
        static const char to[] = "\b\f\n\r\t";
        const char *found = at[1] ? strchr(from, at[1]) : NULL;
        out[0] = found ? to[found - from] : at[1];
        *p = at + 2;
        return 1;
    }
    at += 6;
    uint32_t c = (uint32_t)unit;
    if (json_is_high_surrogate(unit) && end - at >= 6) {
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)json_hex4(at + 2, end) - 0xdc00);
        at += 6;
    }
    *p = at;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18 & 7));
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

#endif
