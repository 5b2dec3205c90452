#include "carillon/base/base64url.h"

#include "carillon/base/err.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void car_base64url_write(const uint8_t *bytes, size_t len, char *out) {
    for (size_t i = 0; i < len; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        for (unsigned shift = 24; shift > 0; shift -= 6) {
            *out++ = ALPHABET[word >> (shift - 6) & 63];
        }
    }
}

int car_base64url_read(struct car_span text, uint8_t *out, size_t len) {
    if (text.len != len / 3 * 4) {
        return CAR_EINVAL;
    }
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t word = 0;
        for (size_t k = i; k < i + 4; k++) {
            const char *at = text.ptr[k] ? strchr(ALPHABET, text.ptr[k]) : NULL;
            if (!at) {
                return CAR_EINVAL;
            }
            word = word << 6 | (uint32_t)(at - ALPHABET);
        }
        *out++ = (uint8_t)(word >> 16);
        *out++ = (uint8_t)(word >> 8);
        *out++ = (uint8_t)word;
    }
    return 0;
}
