#include "rate.h"

#define RELAXED memory_order_relaxed

void car_rate_add(struct car_rate *rate, int64_t now_ms, unsigned events) {
    int64_t bucket = now_ms / CAR_RATE_BUCKET_MS;
    int64_t newest = atomic_load_explicit(&rate->newest, RELAXED);
    if (bucket > newest) {
        int64_t stale = bucket - newest < CAR_RATE_BUCKETS ? bucket - newest : CAR_RATE_BUCKETS;
        for (int64_t i = 0; i < stale; i++) {
            atomic_store_explicit(&rate->count[(bucket - i) % CAR_RATE_BUCKETS], 0, RELAXED);
        }
        atomic_store_explicit(&rate->newest, bucket, RELAXED);
        newest = bucket;
    }
    /* A clock that was set back counts on in the newest bucket. */
    atomic_fetch_add_explicit(&rate->count[newest % CAR_RATE_BUCKETS], events, RELAXED);
}

double car_rate_per_second(const struct car_rate *rate, int64_t now_ms) {
    int64_t bucket = now_ms / CAR_RATE_BUCKET_MS;
    int64_t newest = atomic_load_explicit(&rate->newest, RELAXED);
    unsigned total = 0;
    for (int64_t i = 0; i < CAR_RATE_BUCKETS; i++) {
        if (newest - i >= 0 && newest - i > bucket - CAR_RATE_BUCKETS) {
            total += atomic_load_explicit(&rate->count[(newest - i) % CAR_RATE_BUCKETS], RELAXED);
        }
    }
    return (double)total / (CAR_RATE_BUCKETS * CAR_RATE_BUCKET_MS / 1000.0);
}
