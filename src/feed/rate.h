#ifndef CARILLON_FEED_RATE_H
#define CARILLON_FEED_RATE_H

#include <stdatomic.h>
#include <stdint.h>

#define CAR_RATE_BUCKETS   12
#define CAR_RATE_BUCKET_MS 5000

/* Counts events over a sliding minute. One writer at a time, any reader; a reader may be off by what is being added. */
struct car_rate {
    atomic_int_fast64_t newest; /* number of the newest bucket, counted since 1970 */
    atomic_uint count[CAR_RATE_BUCKETS];
};

void car_rate_add(struct car_rate *rate, int64_t now_ms, unsigned events);

/* Events a second. */
double car_rate_per_second(const struct car_rate *rate, int64_t now_ms);

#endif
