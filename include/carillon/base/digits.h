#ifndef CARILLON_BASE_DIGITS_H
#define CARILLON_BASE_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CAR_U64_DIGITS 20 /* of the largest one */

/* "00" to "99", and "00" to "ff". */
extern const char car_decimal_pairs[200];
extern const char car_hex_pairs[512];

/* `n` is below 100. */
static inline void car_two_digits(char *out, unsigned n) {
    memcpy(out, car_decimal_pairs + 2 * (size_t)n, 2);
}

static inline void car_hex_byte(char *out, uint8_t byte) {
    memcpy(out, car_hex_pairs + 2 * (size_t)byte, 2);
}

/* Writes the digits of `n` so that they end at `end`, which has CAR_U64_DIGITS characters of room before it. Returns
 * the first. */
static inline char *car_digits_before(char *end, uint64_t n) {
    while (n >= 100) {
        end -= 2;
        car_two_digits(end, (unsigned)(n % 100));
        n /= 100;
    }
    if (n >= 10) {
        end -= 2;
        car_two_digits(end, (unsigned)n);
        return end;
    }
    *--end = (char)('0' + n);
    return end;
}

#endif
