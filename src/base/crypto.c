#define OPENSSL_SUPPRESS_DEPRECATED /* of SHA256_Init and its like: see car_sha256 */
#include "carillon/base/crypto.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "carillon/base/err.h"

/* Set once by fetch_sha1 and never freed: fetching takes libcrypto's locks. */
static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha1_digest;

static void fetch_sha1(void) {
    sha1_digest = EVP_MD_fetch(NULL, "SHA1", NULL);
    if (!sha1_digest) {
        abort();
    }
}

void car_sha1(const void *bytes, size_t len, uint8_t out[20]) {
    pthread_once(&sha1_once, fetch_sha1);
    if (EVP_Digest(len > 0 ? bytes : "", len, out, NULL, sha1_digest, NULL) != 1) {
        abort();
    }
}

/* Each request that shows a credential asks for one, and EVP's way to the same code is longer than the digest of a key
 * takes: a context from malloc, parameters, and references that all threads count (170 ns, and 64 without). */
void car_sha256(const void *bytes, size_t len, uint8_t out[32]) {
    struct car_sha256 sha;
    car_sha256_begin(&sha);
    car_sha256_add(&sha, bytes, len);
    car_sha256_end(&sha, out);
}

static_assert(sizeof(SHA256_CTX) <= sizeof(struct car_sha256), "a SHA256_CTX fits");

void car_sha256_begin(struct car_sha256 *sha) {
    if (SHA256_Init((SHA256_CTX *)sha->state) != 1) {
        abort();
    }
}

void car_sha256_add(struct car_sha256 *sha, const void *bytes, size_t len) {
    if (SHA256_Update((SHA256_CTX *)sha->state, len > 0 ? bytes : "", len) != 1) {
        abort();
    }
}

void car_sha256_end(struct car_sha256 *sha, uint8_t out[32]) {
    if (SHA256_Final(out, (SHA256_CTX *)sha->state) != 1) {
        abort();
    }
}

bool car_secret_eq(const void *a, const void *b, size_t len) {
    return CRYPTO_memcmp(a, b, len) == 0;
}

void car_random(void *out, size_t len) {
    unsigned char *p = out;
    while (len > 0) {
        int part = len > INT_MAX ? INT_MAX : (int)len;
        if (RAND_bytes(p, part) != 1) {
            abort();
        }
        p += part;
        len -= (size_t)part;
    }
}

size_t car_base64_write(const void *bytes, size_t len, char *out) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = bytes;
    char *to = out;
    size_t left = len;
    for (; left >= 3; left -= 3, p += 3) {
        *to++ = alphabet[p[0] >> 2];
        *to++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
        *to++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
        *to++ = alphabet[p[2] & 63];
    }
    if (left > 0) {
        unsigned second = left == 2 ? p[1] : 0;
        *to++ = alphabet[p[0] >> 2];
        *to++ = alphabet[(unsigned)(p[0] & 3) << 4 | second >> 4];
        *to++ = left == 2 ? alphabet[(second & 15) << 2] : '=';
        *to++ = '=';
    }
    return (size_t)(to - out);
}

static bool is_base64(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

int car_base64_read(struct car_span text, struct car_buf *out) {
    size_t digits = text.len;
    while (digits > 0 && text.len - digits < 2 && text.ptr[digits - 1] == '=') {
        digits--;
    }
    for (size_t i = 0; i < digits; i++) {
        if (!is_base64(text.ptr[i])) {
            return CAR_EINVAL;
        }
    }
    if (text.len % 4 || text.len > INT_MAX) {
        return CAR_EINVAL;
    }
    if (text.len == 0) {
        return 0;
    }
    if (car_buf_reserve(out, text.len / 4 * 3) != 0) {
        return CAR_ENOMEM;
    }
    int n = EVP_DecodeBlock((unsigned char *)out->data + out->len, (const unsigned char *)text.ptr, (int)text.len);
    if (n < 0) {
        return CAR_EINVAL;
    }
    out->len += (size_t)n - (text.len - digits); /* it counts what the padding stands for */
    return 0;
}
