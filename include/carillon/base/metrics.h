#ifndef CARILLON_BASE_METRICS_H
#define CARILLON_BASE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * Metrics. A module describes what it counts in a table (struct car_metric), and counts in blocks of cells: one block a
 * thread. Whoever wants to know sums the blocks, and writes them in the text format of Prometheus, version 0.0.4.
 *
 * Owner of a block: one thread, the only one that writes its cells. Readers: any thread, at any time. Ordering: none;
 * each cell is right by itself, and several of them need not be of the same moment. A block begins and ends on a cache
 * line (car_metrics_block), so that no thread's counting costs another one anything. Reclamation: whoever made it frees
 * it, when neither side is there any more.
 */
typedef atomic_uint_fast64_t car_cell;

#define CAR_METRICS_LINE 64

/* By the block's owner. A gauge may go down again: subtract by adding a negative number, modulo 2^64. */
static inline void car_cell_add(car_cell *cell, uint64_t n) {
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void car_cell_set(car_cell *cell, uint64_t n) {
    atomic_store_explicit(cell, n, memory_order_relaxed);
}

/* Any thread. */
static inline uint64_t car_cell_get(const car_cell *cell) {
    return atomic_load_explicit(cell, memory_order_relaxed);
}

/* Durations, in buckets whose upper bounds are 2^5 µs (32 µs), 2^6 … 2^24 µs (16.8 s), and all above. */
#define CAR_HISTOGRAM_FIRST  5u
#define CAR_HISTOGRAM_BOUNDS 20u

struct car_histogram {
    car_cell counts[CAR_HISTOGRAM_BOUNDS + 1]; /* each for its bucket alone */
    car_cell sum_us;
};

/* `times` things took `us` microseconds each. By the block's owner. */
static inline void car_histogram_add(struct car_histogram *histogram, uint64_t us, uint64_t times) {
    unsigned at = 0;
    if (us > 1u << CAR_HISTOGRAM_FIRST) {
        at = 64u - (unsigned)__builtin_clzll(us - 1) - CAR_HISTOGRAM_FIRST;
        at = at < CAR_HISTOGRAM_BOUNDS ? at : CAR_HISTOGRAM_BOUNDS;
    }
    car_cell_add(&histogram->counts[at], times);
    car_cell_add(&histogram->sum_us, us * times);
}

enum car_metric_kind {
    CAR_METRIC_COUNTER,
    CAR_METRIC_GAUGE,
    CAR_METRIC_HISTOGRAM, /* its series are of struct car_histogram */
};

/* A family of series. A table is constant. */
struct car_metric {
    const char *name, *help; /* the help has neither a backslash nor a line's end */
    enum car_metric_kind kind;
    bool seconds;              /* its cells are microseconds, and are told in seconds; a histogram's always are */
    bool apart;                /* each block is told for itself, with its number as the label `worker` */
    const char *const *labels; /* a series each: what stands between the braces; NULL: one series without any */
    unsigned series;           /* how many labels; 0: one */
    size_t offset;             /* in the block, of the first series; the others follow */
};

/* For a row of a table. */
#define CAR_METRIC_LABELS(...)                                                                                         \
    .labels = (const char *const[]){__VA_ARGS__},                                                                      \
    .series = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

/* A block of that many bytes, all zero, on cache lines of its own. free() frees it. NULL without memory. */
void *car_metrics_block(size_t size);

/* Appends the families, each the sum of the blocks. Any thread. */
void car_metrics_write(struct car_buf *out, const struct car_metric *rows, size_t count, const void *const *blocks,
                       size_t block_count);

/* The same by hand, for series whose labels are not known beforehand: the family's head, then a line for each value of
 * its only label, which may be any text. */
void car_metrics_write_head(struct car_buf *out, const struct car_metric *row);
void car_metrics_write_series(struct car_buf *out, const struct car_metric *row, const char *label,
                              struct car_span value, uint64_t n);

#endif
