#include "carillon/base/span.h"

#include "carillon/base/err.h"

static unsigned char lower(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool car_span_ieq(struct car_span a, struct car_span b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct car_span car_span_trim(struct car_span s) {
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
