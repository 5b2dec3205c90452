#include "histogram.h"

#include <math.h>

#define PER_POWER (UINT64_C(1) << HISTOGRAM_BITS)

/* The values of bucket i have the same HISTOGRAM_BITS bits after their highest one. */
static unsigned bucket_of(uint64_t value) {
    if (value < 2 * PER_POWER) {
        return (unsigned)value;
    }
    unsigned shift = 63 - HISTOGRAM_BITS - (unsigned)__builtin_clzll(value);
    return (unsigned)((value >> shift) + (uint64_t)shift * PER_POWER);
}

static uint64_t middle_of(unsigned bucket) {
    if (bucket < 2 * PER_POWER) {
        return bucket;
    }
    unsigned shift = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t lowest = (bucket - shift * PER_POWER) << shift;
    return lowest + (UINT64_C(1) << shift) / 2;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        into->buckets[i] += from->buckets[i];
    }
    into->count += from->count;
    if (from->max > into->max) {
        into->max = from->max;
    }
}

uint64_t histogram_at(const struct histogram *histogram, double share) {
    uint64_t rank = (uint64_t)ceil(share * (double)histogram->count);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0) {
            uint64_t value = middle_of(i);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return 0;
}
