#include "carillon/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/digits.h"

enum { FIRST_CAP = 64 };

void car_buf_release(struct car_buf *b) {
    free(b->data);
}

static int fail(struct car_buf *b) {
    b->failed = true;
    return CAR_ENOMEM;
}

int car_buf_grow(struct car_buf *b, size_t extra) {
    if (b->failed) {
        return CAR_ENOMEM;
    }
    if (extra > SIZE_MAX / 2 - b->len) {
        return fail(b);
    }
    size_t need = b->len + extra;
    size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap * 2;
    if (cap < need) {
        cap = need;
    }
    char *data = realloc(b->data, cap);
    if (!data) {
        return fail(b);
    }
    b->data = data;
    b->cap = cap;
    return CAR_OK;
}

void car_buf_u64(struct car_buf *b, uint64_t n) {
    char digits[CAR_U64_DIGITS];
    char *end = digits + sizeof digits;
    char *first = car_digits_before(end, n);
    car_buf_put(b, first, (size_t)(end - first));
}

void car_buf_printf(struct car_buf *b, const char *fmt, ...) {
    /* One byte more than is kept: vsnprintf ends with a NUL, which is not part of the content. */
    if (car_buf_reserve(b, FIRST_CAP) != CAR_OK) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    int wrote = vsnprintf(b->data + b->len, b->cap - b->len, fmt, args);
    va_end(args);
    if (wrote < 0) {
        fail(b);
        return;
    }
    size_t len = (size_t)wrote;
    if (len >= b->cap - b->len) {
        if (car_buf_reserve(b, len + 1) != CAR_OK) {
            return;
        }
        va_start(args, fmt);
        vsnprintf(b->data + b->len, b->cap - b->len, fmt, args);
        va_end(args);
    }
    b->len += len;
}

void car_buf_consume(struct car_buf *b, size_t n) {
    if (n == 0) {
        return;
    }
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
}
