#include "carillon/guard/gcra.h"

#include <assert.h>

#include "carillon/base/err.h"

#define NS_PER_MS UINT64_C(1000000)
#define EXACT_MAX 64 /* the largest denominator that is kept as it is */
#define ENDED     UINT64_C(1)

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* No overflow: 2 * 64 * 8.64e13 is below 2^54. */
struct car_gcra car_gcra_make(const struct car_rate_limit *limit) {
    if (limit->count == 0) {
        return (struct car_gcra){0};
    }
    assert(limit->count <= CAR_RATE_COUNT_MAX);
    assert(limit->window_ms >= 1 && limit->window_ms <= CAR_RATE_WINDOW_MS_MAX);
    uint64_t window_ns = limit->window_ms * NS_PER_MS;
    uint64_t denominator = limit->count / common_divisor(window_ns, limit->count);
    uint64_t halves = denominator <= EXACT_MAX ? denominator : EXACT_MAX;
    uint64_t unit = 2 * ((window_ns * halves + limit->count - 1) / limit->count);
    return (struct car_gcra){
        .count = limit->count, .per_ns = 2 * halves, .unit = unit, .capacity = limit->count * unit};
}

/* How far `state` is ahead of `now`; 0 where it has passed. */
static uint64_t ahead_of(uint64_t state, uint64_t now) {
    uint64_t ahead = state - now;
    return ahead <= INT64_MAX ? ahead : 0;
}

static uint64_t to_ns(const struct car_gcra *gcra, uint64_t ticks) {
    return ticks / gcra->per_ns + (ticks % gcra->per_ns != 0);
}

/* `ahead` is more than the capacity for a thread whose now is older than the last take. */
static void describe(const struct car_gcra *gcra, uint64_t ahead, struct car_rate_state *out) {
    uint64_t there = ahead < gcra->capacity ? gcra->capacity - ahead : 0;
    uint64_t remaining = there / gcra->unit;
    /* Where everything is there, what is taken now begins to come back now. */
    uint64_t more = remaining < gcra->count ? gcra->capacity - (remaining + 1) * gcra->unit : 0;
    *out = (struct car_rate_state){
        .remaining = remaining,
        .reset = to_ns(gcra, ahead),
        .next = to_ns(gcra, remaining < gcra->count ? ahead - more : gcra->unit),
    };
}

uint64_t car_gcra_fresh(const struct car_gcra *gcra, uint64_t now_ns) {
    return now_ns * gcra->per_ns;
}

int car_gcra_take(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t now_ns, uint64_t cost,
                  struct car_rate_state *out) {
    if (gcra->count == 0) {
        *out = (struct car_rate_state){.remaining = UINT64_MAX};
        return 0;
    }
    bool fits = cost <= gcra->count;
    uint64_t now = now_ns * gcra->per_ns;
    uint64_t price = fits ? cost * gcra->unit : 0;
    uint64_t seen = atomic_load_explicit(state, memory_order_relaxed);
    for (;;) {
        if (seen == ENDED) {
            return CAR_ECLOSED;
        }
        uint64_t ahead = ahead_of(seen, now);
        if (price == 0 || ahead + price > gcra->capacity) {
            describe(gcra, ahead, out);
            out->retry = price ? to_ns(gcra, ahead + price - gcra->capacity) : fits ? 0 : CAR_RATE_NEVER;
            return price ? CAR_EFULL : fits ? 0 : CAR_ETOOBIG;
        }
        if (atomic_compare_exchange_weak_explicit(state, &seen, now + ahead + price, memory_order_release,
                                                  memory_order_relaxed)) {
            describe(gcra, ahead + price, out);
            return 0;
        }
    }
}

/*
 * Why this is safe. A state is the latest of `t + (what was taken at t and after)` over the moments t of all takes.
 * With the take at `taken` left out, those of earlier moments come down by its price. Those of later ones do not, but
 * each of these is at most now + (what was taken after it): where the later takes were stacked onto this one, which
 * ended no sooner than taken + price, that is (taken + price - now) below what the state is; and where they were not,
 * because everything was there in between, taken + price has passed, and nothing is given back.
 */
void car_gcra_give_back(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t taken_ns, uint64_t cost,
                        uint64_t (*clock)(void)) {
    if (gcra->count == 0 || cost > gcra->count) {
        return; /* nothing was taken */
    }
    uint64_t lapses = taken_ns * gcra->per_ns + cost * gcra->unit;
    uint64_t seen = atomic_load_explicit(state, memory_order_acquire);
    uint64_t back;
    do {
        back = ahead_of(lapses, clock() * gcra->per_ns);
        back = back < cost * gcra->unit ? back : cost * gcra->unit; /* a clock may be behind `taken_ns` */
    } while (
        seen != ENDED && back &&
        !atomic_compare_exchange_weak_explicit(state, &seen, seen - back, memory_order_release, memory_order_acquire));
}

bool car_gcra_end(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t now_ns) {
    uint64_t seen = atomic_load_explicit(state, memory_order_relaxed);
    return seen != ENDED && ahead_of(seen, now_ns * gcra->per_ns) == 0 &&
           atomic_compare_exchange_strong_explicit(state, &seen, ENDED, memory_order_relaxed, memory_order_relaxed);
}

uint64_t car_gcra_worse(uint64_t a, uint64_t b) {
    return b - a <= INT64_MAX ? b : a;
}
