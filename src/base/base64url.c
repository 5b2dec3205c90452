#include "carillon/base/base64url.h"

#include "carillon/base/err.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void car_base64url_write(const uint8_t *bytes, size_t len, char *out) {
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t word = (uint32_t)bytes[i] << 16;
        word |= have > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        word |= have > 2 ? bytes[i + 2] : 0;
        for (unsigned k = 0; k <= have; k++) {
            *out++ = ALPHABET[word >> (18 - 6 * k) & 63];
        }
    }
}

/* What a character stands for, or -1. */
static int digit_of(char c) {
    const char *at = c ? strchr(ALPHABET, c) : NULL;
    return at ? (int)(at - ALPHABET) : -1;
}

int car_base64url_read(struct car_span text, uint8_t *out, size_t len) {
    if (text.len != len / 3 * 4) {
        return CAR_EINVAL;
    }
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t word = 0;
        for (size_t k = i; k < i + 4; k++) {
            int digit = digit_of(text.ptr[k]);
            if (digit < 0) {
                return CAR_EINVAL;
            }
            word = word << 6 | (uint32_t)digit;
        }
        *out++ = (uint8_t)(word >> 16);
        *out++ = (uint8_t)(word >> 8);
        *out++ = (uint8_t)word;
    }
    return 0;
}

int car_base64url_decode(struct car_span text, uint8_t *out, size_t *len) {
    size_t rest = text.len % 4;
    *len = 0;
    if (rest == 1) {
        return CAR_EINVAL;
    }
    size_t whole = text.len / 4 * 3;
    int err = car_base64url_read(car_span_of(text.ptr, text.len - rest), out, whole);
    if (err || rest == 0) {
        *len = err ? 0 : whole;
        return err;
    }
    uint32_t word = 0;
    for (size_t k = text.len - rest; k < text.len; k++) {
        int digit = digit_of(text.ptr[k]);
        if (digit < 0) {
            return CAR_EINVAL;
        }
        word = word << 6 | (uint32_t)digit;
    }
    unsigned left_over = rest == 2 ? 4 : 2; /* bits */
    if (word & ((1u << left_over) - 1)) {
        return CAR_EINVAL;
    }
    word >>= left_over;
    if (rest == 3) {
        out[whole++] = (uint8_t)(word >> 8);
    }
    out[whole++] = (uint8_t)word;
    *len = whole;
    return 0;
}
