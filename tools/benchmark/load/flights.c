#include "flights.h"

#include <stdlib.h>

#include "bytes.h"
#include "loop.h"

void flights_init(struct flights *flights, uint32_t count, struct loop *home) {
    flights->all = memory_zeroed(count, sizeof *flights->all);
    flights->count = count;
    flights->home = home;
    atomic_init(&flights->over, FLIGHTS_END);
}

void flights_free(struct flights *flights) {
    free(flights->all);
}

void flights_begin(struct flights *flights, uint32_t flight, uint32_t awaited, const struct sent *sent) {
    struct flight *begun = &flights->all[flight];
    atomic_store_explicit(&begun->strand, sent->strand, memory_order_relaxed);
    atomic_store_explicit(&begun->counter, sent->counter, memory_order_relaxed);
    atomic_store_explicit(&begun->due, sent->due, memory_order_relaxed);
    atomic_store_explicit(&begun->awaited, awaited, memory_order_release);
}

bool flights_carry(const struct flights *flights, uint32_t flight, const struct sent *sent) {
    if (flight >= flights->count) {
        return false;
    }
    const struct flight *begun = &flights->all[flight];
    return atomic_load_explicit(&begun->awaited, memory_order_acquire) > 0 &&
           atomic_load_explicit(&begun->strand, memory_order_relaxed) == sent->strand &&
           atomic_load_explicit(&begun->counter, memory_order_relaxed) == sent->counter &&
           atomic_load_explicit(&begun->due, memory_order_relaxed) == sent->due;
}

static void push(struct flights *flights, uint32_t flight, const struct loop *loop) {
    uint32_t newest = atomic_load_explicit(&flights->over, memory_order_relaxed);
    do {
        flights->all[flight].next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&flights->over, &newest, flight, memory_order_release,
                                                    memory_order_relaxed));
    /* Where something stood there before, whoever put it rings, or home has yet to look. */
    if (newest == FLIGHTS_END && loop != flights->home) {
        loop_ring(flights->home);
    }
}

bool flights_arrive(struct flights *flights, uint32_t flight, const struct loop *loop) {
    if (flight >= flights->count) {
        return false;
    }
    unsigned awaited = atomic_fetch_sub_explicit(&flights->all[flight].awaited, 1, memory_order_acq_rel);
    if (awaited == 1) {
        push(flights, flight, loop);
    }
    return awaited > 0;
}

uint32_t flights_take(struct flights *flights) {
    return atomic_exchange_explicit(&flights->over, FLIGHTS_END, memory_order_acquire);
}
