#include "ws_mask.h"

#include <string.h>

/* memcpy is how to load and store a word at any alignment. */
static void xor_word(char *at, uint64_t mask) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    word ^= mask;
    memcpy(at, &word, sizeof word);
}

void car_ws_unmask(char *data, size_t len, uint8_t mask[4]) {
    uint64_t mask8;
    memcpy(&mask8, mask, 4);
    memcpy((char *)&mask8 + 4, mask, 4);
    size_t at = 0;
    /* Four words a round, which compilers turn into vector instructions. */
    for (; len - at >= 32; at += 32) {
        xor_word(data + at, mask8);
        xor_word(data + at + 8, mask8);
        xor_word(data + at + 16, mask8);
        xor_word(data + at + 24, mask8);
    }
    for (; len - at >= 8; at += 8) {
        xor_word(data + at, mask8);
    }
    size_t tail = len - at;
    for (size_t i = 0; i < tail; i++) {
        data[at + i] = (char)((uint8_t)data[at + i] ^ mask[i & 3]);
    }
    uint8_t turned[4];
    for (size_t i = 0; i < 4; i++) {
        turned[i] = mask[(tail + i) & 3];
    }
    memcpy(mask, turned, 4);
}
