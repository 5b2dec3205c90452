#include "carillon/base/span.h"

#include "carillon/base/bytes16.h"
#include "carillon/base/err.h"

static car_bytes16 lower(car_bytes16 b) {
    return b | (car_bytes16_range(b, 'A', 'Z') & car_bytes16_all(0x20));
}

static bool differ(car_bytes16 a, car_bytes16 b) {
    return car_bytes16_bits((car_bytes16)(lower(a) != lower(b))) != 0;
}

bool car_span_folded_eq(const char *a, const char *b, size_t len) {
    /* Most are written alike: two words that overlap see all of 8 to 16 bytes. */
    if (len >= 8 && len <= 16 && car_bytes_word(a) == car_bytes_word(b) &&
        car_bytes_word(a + len - 8) == car_bytes_word(b + len - 8)) {
        return true;
    }
    for (; len >= 16; len -= 16) {
        if (differ(car_bytes16_load(a), car_bytes16_load(b))) {
            return false;
        }
        a += 16;
        b += 16;
    }
    return len == 0 || !differ(car_bytes16_part(a, len), car_bytes16_part(b, len));
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct car_span car_span_trim_blanks(struct car_span s) {
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool car_span_next(struct car_span *rest, char sep, struct car_span *part) {
    if (rest->len == 0) {
        *part = car_span_of(NULL, 0);
        return false;
    }
    const char *at = memchr(rest->ptr, sep, rest->len);
    size_t len = at ? (size_t)(at - rest->ptr) : rest->len;
    size_t eaten = at ? len + 1 : len;
    *part = car_span_of(rest->ptr, len);
    *rest = car_span_of(rest->ptr + eaten, rest->len - eaten);
    return true;
}

int car_span_u64(struct car_span s, uint64_t max, uint64_t *out) {
    if (s.len == 0 || s.len > 20) {
        return CAR_EINVAL;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
            return CAR_EINVAL;
        }
        n = n * 10 + digit;
    }
    if (n > max) {
        return CAR_EINVAL;
    }
    *out = n;
    return CAR_OK;
}
