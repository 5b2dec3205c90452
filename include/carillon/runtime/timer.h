#ifndef CARILLON_RUNTIME_TIMER_H
#define CARILLON_RUNTIME_TIMER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define CAR_TIMER_TICK_MS 10

/*
 * A hashed timer wheel for the many coarse timers of connections: setting, moving and clearing one is O(1) and touches
 * no heap. Belongs to one loop's thread. A timer fires once, never early, at most two ticks late on an idle loop.
 */
struct car_timer {
    struct car_timer *next, **pprev; /* in its slot; pprev is NULL while the timer is not set */
    uint64_t due;                    /* in ticks of the wheel */
    void (*fire)(struct car_timer *timer);
};

struct car_wheel;

/* A wheel that runs on `loop`; it keeps the loop's uv_timer running only while a timer is set. NULL without memory. */
struct car_wheel *car_wheel_new(uv_loop_t *loop);

/* Closes the wheel's handle; memory goes in its close callback. Timers still set never fire. Nulls the pointer. */
void car_wheel_close(struct car_wheel **wheel);

/* Sets (or moves) the timer to `delay_ms` from now. `fire` may set or clear any timer, its own included. */
void car_timer_set(struct car_wheel *wheel, struct car_timer *timer, uint64_t delay_ms);

/* Clears the timer; nothing where it is not set. */
void car_timer_clear(struct car_wheel *wheel, struct car_timer *timer);

static inline bool car_timer_is_set(const struct car_timer *timer) {
    return timer->pprev != NULL;
}

#endif
