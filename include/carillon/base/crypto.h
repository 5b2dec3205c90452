#ifndef CARILLON_BASE_CRYPTO_H
#define CARILLON_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/* SHA-1 (only where a protocol asks for it: RFC 6455, section 4.2.2). */
void car_sha1(const void *bytes, size_t len, uint8_t out[20]);
void car_sha256(const void *bytes, size_t len, uint8_t out[32]);

/* A SHA-256 that is made piece by piece: begun, given its bytes, ended. Opaque; needs no end. */
struct car_sha256 {
    uint64_t state[16];
};

void car_sha256_begin(struct car_sha256 *sha);
void car_sha256_add(struct car_sha256 *sha, const void *bytes, size_t len);
void car_sha256_end(struct car_sha256 *sha, uint8_t out[32]);

/* Whether the bytes are the same, in a time that does not tell where they differ. */
bool car_secret_eq(const void *a, const void *b, size_t len);

/* Fills with bytes from libcrypto's generator; aborts where there are none, which cannot happen on a sane system. */
void car_random(void *out, size_t len);

/* Standard base64 with padding (RFC 4648, section 4). Writes 4 * ((len + 2) / 3) characters, no NUL; returns how many.
 */
size_t car_base64_write(const void *bytes, size_t len, char *out);

/* Appends what standard base64 with padding stands for: its alphabet only, no blanks; bits that the padding leaves over
 * are passed by. CAR_EINVAL where it is none, and `out` is as it was; CAR_ENOMEM. */
int car_base64_read(struct car_span text, struct car_buf *out);

#endif
