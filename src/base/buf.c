#include "carillon/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"

enum { FIRST_CAP = 64 };

void car_buf_free(struct car_buf *b) {
    free(b->data);
    *b = CAR_BUF_INIT;
}

static int fail(struct car_buf *b) {
    b->failed = true;
    return CAR_ENOMEM;
}

int car_buf_reserve(struct car_buf *b, size_t extra) {
    if (b->failed) {
        return CAR_ENOMEM;
    }
    if (extra <= b->cap - b->len) {
        return CAR_OK;
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

void car_buf_put(struct car_buf *b, const void *bytes, size_t len) {
    if (len == 0 || car_buf_reserve(b, len) != CAR_OK) {
        return;
    }
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
}

void car_buf_span(struct car_buf *b, struct car_span s) {
    car_buf_put(b, s.ptr, s.len);
}

void car_buf_char(struct car_buf *b, char c) {
    if (car_buf_reserve(b, 1) == CAR_OK) {
        b->data[b->len++] = c;
    }
}

void car_buf_u64(struct car_buf *b, uint64_t n) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    car_buf_put(b, digits + at, sizeof digits - at);
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
