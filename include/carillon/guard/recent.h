#ifndef CARILLON_GUARD_RECENT_H
#define CARILLON_GUARD_RECENT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * How many there were lately: a count that decays exponentially, with the window as its time constant, so that nothing
 * has to be remembered but one number and when it was looked at. In the middle of a steady stream it is what comes in
 * one window.
 *
 * A state is one word, 0 to begin with: milliseconds of CLOCK_MONOTONIC above, modulo 2^32, a float below. Any thread
 * may do anything with it at any time, each change is one compare-and-swap, and nothing is published through it. It is
 * exact to 2^24. One that was let alone for 2^31 ms (24 days) and more may show what it was then.
 */

/* The count at `now_ms`. */
float car_recent_read(const _Atomic uint64_t *state, uint64_t window_ms, uint64_t now_ms);

/* One more. */
void car_recent_add(_Atomic uint64_t *state, uint64_t window_ms, uint64_t now_ms);

#endif
