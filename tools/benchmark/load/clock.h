#ifndef CARILLON_LOAD_CLOCK_H
#define CARILLON_LOAD_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_S UINT64_C(1000000000)

/* Nanoseconds on the given clock. */
static inline uint64_t clock_read(clockid_t id) {
    struct timespec at;
    clock_gettime(id, &at);
    return (uint64_t)at.tv_sec * CLOCK_NS_PER_S + (uint64_t)at.tv_nsec;
}

/* The clock that everything here is timed by; one for all processes of the machine. */
static inline uint64_t clock_now(void) {
    return clock_read(CLOCK_MONOTONIC);
}

static inline uint64_t clock_from_seconds(double seconds) {
    return (uint64_t)(seconds * (double)CLOCK_NS_PER_S);
}

static inline double clock_to_seconds(uint64_t ns) {
    return (double)ns / (double)CLOCK_NS_PER_S;
}

#endif
