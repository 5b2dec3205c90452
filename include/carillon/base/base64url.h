#ifndef CARILLON_BASE_BASE64URL_H
#define CARILLON_BASE_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"

/*
 * The URL-safe alphabet of base64 (RFC 4648, section 5), without padding and with exactly one spelling for the same
 * bytes. Tokens of our own have a length that is a multiple of three bytes. Any thread.
 */

/* Writes (4 * len + 2) / 3 characters, no NUL. */
void car_base64url_write(const uint8_t *bytes, size_t len, char *out);

/* Reads exactly `len` bytes, a multiple of three. CAR_EINVAL where the text has another length or alphabet. */
int car_base64url_read(struct car_span text, uint8_t *out, size_t len);

/* Reads a text of any length without padding, as JSON Web Tokens have it (RFC 7515, section 2), into `out`, which has
 * room for text.len / 4 * 3 + 2 bytes. Takes only the one spelling that bytes have: the bits that are left over are
 * zero. CAR_EINVAL otherwise. */
int car_base64url_decode(struct car_span text, uint8_t *out, size_t *len);

#endif
