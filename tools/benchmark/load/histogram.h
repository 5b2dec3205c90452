#ifndef CARILLON_LOAD_HISTOGRAM_H
#define CARILLON_LOAD_HISTOGRAM_H

#include <stdint.h>

/* 64 buckets for each power of two: a value is off by less than 0.8 % (half a bucket), and exact below 128. */
#define HISTOGRAM_BITS 6
#define HISTOGRAM_SIZE ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* How often which value came. Starts as zeros; one thread at a time. */
struct histogram {
    uint64_t count, max;
    uint64_t buckets[HISTOGRAM_SIZE];
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that the given share (0 to 1) of all values does not exceed; 0 where there are none. */
uint64_t histogram_at(const struct histogram *histogram, double share);

#endif
