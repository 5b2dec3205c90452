#ifndef CARILLON_BASE_UTF8_H
#define CARILLON_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A UTF-8 validator (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF) that may be fed in pieces.
 * Zero-initialised is its start. */
struct car_utf8 {
    uint32_t state;
};

/* Feeds `len` bytes. false as soon as no continuation could make the text valid; the state is then spent. */
bool car_utf8_feed(struct car_utf8 *u, const void *bytes, size_t len);

/* Whether the text so far ends on a character's end. */
bool car_utf8_done(const struct car_utf8 *u);

/* Whether the whole is valid UTF-8. */
bool car_utf8_valid(const void *bytes, size_t len);

/* The number of characters (code points) of valid UTF-8. */
size_t car_utf8_count(const void *bytes, size_t len);

#endif
