#include "carillon/guard/recent.h"

#include <math.h>
#include <string.h>

/* A thread's reading of the clock may be this much older than another's; what is older still is a wrap. */
#define OLDER_MS 60000

static float count_of(uint64_t word) {
    uint32_t bits = (uint32_t)word;
    float count;
    memcpy(&count, &bits, sizeof count);
    return count;
}

static uint64_t pack(uint32_t at_ms, float count) {
    uint32_t bits;
    memcpy(&bits, &count, sizeof bits);
    return (uint64_t)at_ms << 32 | bits;
}

/* The same word as of now; as it is where now is older. */
static uint64_t aged(uint64_t word, uint64_t window_ms, uint64_t now_ms) {
    uint32_t elapsed = (uint32_t)now_ms - (uint32_t)(word >> 32);
    float count = count_of(word);
    if (count > 0 && elapsed > UINT32_MAX - OLDER_MS) {
        return word;
    }
    return pack((uint32_t)now_ms, count * expf(-(float)elapsed / (float)window_ms));
}

float car_recent_read(const _Atomic uint64_t *state, uint64_t window_ms, uint64_t now_ms) {
    return count_of(aged(atomic_load_explicit(state, memory_order_relaxed), window_ms, now_ms));
}

void car_recent_add(_Atomic uint64_t *state, uint64_t window_ms, uint64_t now_ms) {
    uint64_t seen = atomic_load_explicit(state, memory_order_relaxed);
    uint64_t next;
    do {
        uint64_t now = aged(seen, window_ms, now_ms);
        next = pack((uint32_t)(now >> 32), count_of(now) + 1);
    } while (!atomic_compare_exchange_weak_explicit(state, &seen, next, memory_order_relaxed, memory_order_relaxed));
}
