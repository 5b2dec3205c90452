#ifndef CARILLON_BASE_BASE64URL_H
#define CARILLON_BASE_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"

/*
 * The URL-safe alphabet of base64 (RFC 4648, section 5) for tokens whose length is a multiple of three bytes: these
 * need no padding, and have exactly one spelling. Any thread.
 */

/* Writes 4 * len / 3 characters, no NUL. `len` is a multiple of three. */
void car_base64url_write(const uint8_t *bytes, size_t len, char *out);

/* Reads exactly `len` bytes, a multiple of three. CAR_EINVAL where the text has another length or alphabet. */
int car_base64url_read(struct car_span text, uint8_t *out, size_t len);

#endif
