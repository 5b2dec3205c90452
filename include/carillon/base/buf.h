#ifndef CARILLON_BASE_BUF_H
#define CARILLON_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* Frees the memory and leaves an empty, usable buffer. */
void car_buf_free(struct car_buf *b);

/* Makes room for `extra` more bytes. CAR_ENOMEM (and `failed`) where there is none. */
int car_buf_reserve(struct car_buf *b, size_t extra);

void car_buf_put(struct car_buf *b, const void *bytes, size_t len);
void car_buf_span(struct car_buf *b, struct car_span s);
void car_buf_char(struct car_buf *b, char c);
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
