#include "ws_mask.h"

#include <string.h>

#include "carillon/base/bytes16.h"

typedef uint64_t words16 __attribute__((vector_size(16)));

/* Bytes 0 to 3 of a half word in memory are the mask, in either byte order. */
static uint32_t half_of(const void *p) {
    uint32_t half;
    memcpy(&half, p, sizeof half);
    return half;
}

void car_ws_unmask(char *data, size_t len, uint8_t mask[4]) {
    uint32_t mask4 = half_of(mask);
    uint64_t mask8 = (uint64_t)mask4 << 32 | mask4;
    car_bytes16 mask16 = (car_bytes16)(words16){mask8, mask8};
    char *at = data;
    char *end = data + (len & ~(size_t)15);
#pragma GCC unroll 4
    for (; at < end; at += 16) {
        car_bytes16_store(at, car_bytes16_load(at) ^ mask16);
    }
    if (len & 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        word ^= mask8;
        memcpy(at, &word, sizeof word);
        at += 8;
    }
    if (len & 4) {
        uint32_t half = half_of(at) ^ mask4;
        memcpy(at, &half, sizeof half);
        at += 4;
    }
    unsigned tail = len & 3;
    if (tail > 0) {
        uint32_t turning = le32toh(mask4);
        for (unsigned i = 0; i < tail; i++) {
            at[i] = (char)((uint8_t)at[i] ^ (uint8_t)(turning >> 8 * i));
        }
        turning = htole32(turning >> 8 * tail | turning << (32 - 8 * tail));
        memcpy(mask, &turning, sizeof turning);
    }
}
