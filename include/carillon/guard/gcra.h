#ifndef CARILLON_GUARD_GCRA_H
#define CARILLON_GUARD_GCRA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "carillon/guard/rate_limit.h"

/*
 * The generic cell rate algorithm (ITU-T I.371, its virtual scheduling form): all that is known of who is limited is
 * one moment, the theoretical arrival time (TAT), at which everything would be there again. A take moves it on by what
 * it costs, and is refused where that would bring it further ahead of now than the whole limit is worth. From the first
 * take of any two on, no more goes through than `count + count * elapsed / window`.
 *
 * A state is one _Atomic uint64_t. Any thread may do anything with it at any time: each change is one compare-and-swap,
 * without a lock. Nothing is published through it but when it was: a take releases, so that whoever acquires the state
 * and then reads the clock reads nothing older (car_gcra_give_back). It belongs to whoever holds it.
 *
 * Now is nanoseconds of CLOCK_MONOTONIC (car_clock_mono_ns), read by the caller. Threads may come with readings that
 * are older than what is in the state already; they find less, never more.
 *
 * Ticks. The state counts in ticks that are chosen for each limit, so that nothing drifts: `per_ns` of them are a
 * nanosecond, `unit` are what one of `count` costs. Where the time between two units is a fraction of nanoseconds with
 * a denominator of 64 or less, as with 300/1s, 7/3s, 100/15m, both are exact. Elsewhere a tick is 1/128 ns, and `unit`
 * rounded up: the limit is then kept a little too strictly, by less than 2 ticks a unit. That is 1.6 % for 10^9 units a
 * second, and below a millionth for everything up to 60,000 a second. Only above 1.28 * 10^9 units a second, which
 * windows below a second can ask for, it is more than 2 %, with units that are smaller than a tick.
 *
 * Both are even, so every state is even, and an odd one is free to say that a state has ended.
 *
 * The clock times `per_ns` may wrap: states are compared as sequence numbers are (RFC 1982). Only one that nobody took
 * from for 2^63 ticks (2.2 years at 1/128 ns; 146 years where a unit is whole nanoseconds) would be misread, as one
 * that is used up.
 */
struct car_gcra {
    uint64_t count;    /* 0: no limit, everything is let through */
    uint64_t per_ns;   /* ticks in a nanosecond; even, 2 to 128 */
    uint64_t unit;     /* ticks that one unit costs; even */
    uint64_t capacity; /* count * unit, below 2^54 */
};

/* `retry` of what costs more than the whole limit. */
#define CAR_RATE_NEVER UINT64_MAX

/* How things stand after a take or a look. Nanoseconds are rounded up. Without a limit `remaining` is UINT64_MAX, the
 * others 0. */
struct car_rate_state {
    uint64_t remaining; /* whole units that could be taken now */
    uint64_t reset;     /* ns until everything is there */
    uint64_t next;      /* ns in which no more than `remaining` can be taken */
    uint64_t retry;     /* ns until the cost would be let through, if nobody else takes; 0 where it was */
};

/* `limit` has to be within its bounds. Immutable from then on: shared by any number of states and threads. */
struct car_gcra car_gcra_make(const struct car_rate_limit *limit);

/* What a state has to begin with, where everything is there at `now_ns`. It means nothing to another limit: where the
 * limit changes, its states begin anew. */
uint64_t car_gcra_fresh(const struct car_gcra *gcra, uint64_t now_ns);

/* Takes `cost` units, all or nothing; 0 units are a look that changes nothing. 0; CAR_EFULL where that is too much now;
 * CAR_ETOOBIG where it is more than `count`; CAR_ECLOSED where the state has ended, and *out is untouched. */
int car_gcra_take(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t now_ns, uint64_t cost,
                  struct car_rate_state *out);

/*
 * Gives back what was taken for nothing, as where a second limit refused. `cost` and `taken_ns` are those of the take.
 * What the time since then has refilled is not given back, for others may have been let through on the strength of it:
 * so nobody gets more than if the take had not been, and hardly less where it was just now. `clock` gives now; it is
 * read between the look at the state and the change, so no take that the state knows of can be later than it.
 */
void car_gcra_give_back(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t taken_ns, uint64_t cost,
                        uint64_t (*clock)(void));

/* Ends the state if everything is there, so that it says nothing that a fresh one would not: true. From then on takes
 * answer CAR_ECLOSED. No take is lost: it comes before this, which is then false, or it finds the state ended. */
bool car_gcra_end(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t now_ns);

/* A state of the same limit as both, and no better than either: what has been taken from `a` or from `b`. Neither has
 * ended. */
uint64_t car_gcra_worse(uint64_t a, uint64_t b);

#endif
