#ifndef CARILLON_BASE_BYTES16_H
#define CARILLON_BASE_BYTES16_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/*
 * Text sixteen bytes at a time: how all codecs find the end of a run of plain bytes. The vectors are the compilers' own
 * (GCC and Clang turn them into what the processor has); only the way from a vector to an index is written twice.
 *
 * A byte of a vector counts as marked where its top bit is set. Comparisons mark whole bytes. No function here reads
 * outside of what it is given.
 */
typedef uint8_t car_bytes16 __attribute__((vector_size(16)));
typedef int8_t car_signed16 __attribute__((vector_size(16)));

static inline car_bytes16 car_bytes16_load(const char *p) {
    car_bytes16 b;
    memcpy(&b, p, sizeof b);
    return b;
}

static inline void car_bytes16_store(char *p, car_bytes16 b) {
    memcpy(p, &b, sizeof b);
}

static inline uint64_t car_bytes_word(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

static inline uint32_t car_bytes_half(const char *p) {
    uint32_t half;
    memcpy(&half, p, sizeof half);
    return le32toh(half);
}

/* 1 to 8 bytes as the low end of a word; two loads that overlap do for any number. */
static inline uint64_t car_bytes_part(const char *p, size_t n) {
    if (n >= 4) {
        return car_bytes_half(p) | (uint64_t)car_bytes_half(p + n - 4) << 8 * (n - 4);
    }
    uint64_t middle = (uint64_t)(uint8_t)p[n / 2] << 8 * (n / 2);
    return (uint8_t)p[0] | middle | (uint64_t)(uint8_t)p[n - 1] << 8 * (n - 1);
}

/* 0 to 15 bytes, and zeros behind them. */
static inline car_bytes16 car_bytes16_part(const char *p, size_t n) {
    uint64_t words[2] = {0, 0};
    if (n > 8) {
        words[0] = car_bytes_word(p);
        words[1] = car_bytes_word(p + n - 8) >> 8 * (16 - n);
    } else if (n > 0) {
        words[0] = car_bytes_part(p, n);
    }
    words[0] = htole64(words[0]);
    words[1] = htole64(words[1]);
    car_bytes16 b;
    memcpy(&b, words, sizeof b);
    return b;
}

static inline car_bytes16 car_bytes16_all(uint8_t c) {
    return (car_bytes16){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c};
}

static inline car_bytes16 car_bytes16_equal(car_bytes16 b, uint8_t c) {
    return (car_bytes16)(b == car_bytes16_all(c));
}

/* Marks the bytes from `first` to `last`. */
static inline car_bytes16 car_bytes16_range(car_bytes16 b, uint8_t first, uint8_t last) {
    return (car_bytes16)(b - car_bytes16_all(first) <= car_bytes16_all((uint8_t)(last - first)));
}

/* Marks what is no printable ASCII from `first` on up to 0x7f: control characters, and bytes above ASCII. */
static inline car_bytes16 car_bytes16_not_ascii_from(car_bytes16 b, int8_t first) {
    return (car_bytes16)((car_signed16)b < (car_signed16)car_bytes16_all((uint8_t)first));
}

/* One bit for each byte, the first one lowest: set where it is marked. */
static inline unsigned car_bytes16_bits(car_bytes16 marks) {
#if defined(__SSE2__)
    return (unsigned)_mm_movemask_epi8((__m128i)marks);
#else
    /* The product moves the lowest bits of a word's bytes side by side into its top byte. */
    const uint64_t lowest = UINT64_C(0x0101010101010101);
    const uint64_t gather = UINT64_C(0x0102040810204080);
    uint64_t words[2];
    memcpy(words, &marks, sizeof words);
    words[0] = (le64toh(words[0]) >> 7 & lowest) * gather >> 56;
    words[1] = (le64toh(words[1]) >> 7 & lowest) * gather >> 56;
    return (unsigned)(words[0] | words[1] << 8);
#endif
}

/* The first byte of the text that `marks` marks; `end` where it marks none. Always inline, so that the call of `marks`
 * is none. */
static inline __attribute__((always_inline)) const char *car_bytes16_find(const char *p, const char *end,
                                                                          car_bytes16 (*marks)(car_bytes16)) {
    size_t left = (size_t)(end - p);
    for (; left >= 16; left -= 16) {
        unsigned bits = car_bytes16_bits(marks(car_bytes16_load(p)));
        if (bits != 0) {
            return p + __builtin_ctz(bits);
        }
        p += 16;
    }
    if (left == 0) {
        return end;
    }
    unsigned bits = car_bytes16_bits(marks(car_bytes16_part(p, left))) | 1U << left;
    return p + __builtin_ctz(bits);
}

#endif
