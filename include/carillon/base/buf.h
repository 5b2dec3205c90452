#ifndef CARILLON_BASE_BUF_H
#define CARILLON_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/base/span.h"

/*
 * A growable byte buffer for building output. Owned by one thread. Failure is sticky: after an allocation failed every
 * append is a no-op and `failed` stays true, so a builder appends freely and checks once at its end.
 */
struct car_buf {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

#define CAR_BUF_INIT ((struct car_buf){0})

/* The part of car_buf_free that frees. */
void car_buf_release(struct car_buf *b);

/* Frees the memory and leaves an empty, usable buffer. */
static inline void car_buf_free(struct car_buf *b) {
    if (b->data) {
        car_buf_release(b);
    }
    *b = CAR_BUF_INIT;
}

/* The part of car_buf_reserve that allocates. */
int car_buf_grow(struct car_buf *b, size_t extra);

/* Makes room for `extra` more bytes. CAR_ENOMEM (and `failed`) where there is none. */
static inline int car_buf_reserve(struct car_buf *b, size_t extra) {
    return b->data && extra <= b->cap - b->len && !b->failed ? CAR_OK : car_buf_grow(b, extra);
}

static inline void car_buf_put(struct car_buf *b, const void *bytes, size_t len) {
    if (len > 0 && car_buf_reserve(b, len) == CAR_OK) {
        memcpy(b->data + b->len, bytes, len);
        b->len += len;
    }
}

static inline void car_buf_span(struct car_buf *b, struct car_span s) {
    car_buf_put(b, s.ptr, s.len);
}

static inline void car_buf_char(struct car_buf *b, char c) {
    car_buf_put(b, &c, 1);
}

void car_buf_u64(struct car_buf *b, uint64_t n);
void car_buf_printf(struct car_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends a literal. */
#define CAR_BUF_LIT(b, lit) car_buf_put((b), (lit), sizeof(lit) - 1)

/* Removes `n` bytes (n <= len) from the front. */
void car_buf_consume(struct car_buf *b, size_t n);

static inline struct car_span car_buf_view(const struct car_buf *b) {
    return car_span_of(b->data, b->len);
}

#endif
