#ifndef CARILLON_RUNTIME_CONTROL_H
#define CARILLON_RUNTIME_CONTROL_H

#include <uv.h>

/*
 * The loop of the process's main thread: signals, a tick, rounds, and whatever else is put on it. One a process; the
 * main thread's alone.
 */
struct car_control;

struct car_control_ops {
    void (*end)(void *user, const char *signal); /* SIGTERM or SIGINT, at each of them */
    void (*reload)(void *user);                  /* SIGHUP */
    void (*upgrade)(void *user);                 /* SIGUSR2 */
    void (*tick)(void *user);
    void (*round)(void *user);
};

/* 0, CAR_ENOMEM or a UV_E… code. Before any other thread is made: SIGTERM, SIGINT, SIGHUP and SIGUSR2 are blocked from
 * here on, in this thread and in those that it makes, to the end of the process. */
int car_control_open(struct car_control **out, const struct car_control_ops *ops, void *user);

/* For handles of others. */
uv_loop_t *car_control_loop(struct car_control *control);

/* Milliseconds, the loop's idea of now. */
uint64_t car_control_now(const struct car_control *control);

/* Calls `tick` now and every so many milliseconds; 0: no more. */
void car_control_tick(struct car_control *control, uint64_t ms);

/* Calls `tick` once, so many milliseconds from now, in place of what was asked for before. */
void car_control_tick_in(struct car_control *control, uint64_t ms);

/* Calls `tick` soon, beside what was asked for; several rings may be one call. Any thread, until car_control_close. */
void car_control_ring(struct car_control *control);

/* Calls `round` every so many milliseconds, for the first time in so many: beside all ticks, and until the end. */
void car_control_rounds(struct car_control *control, uint64_t ms);

/* Runs until car_control_stop, and until no handle of others is left. */
void car_control_run(struct car_control *control);
void car_control_stop(struct car_control *control);

/* Stops where that has not been done, frees it, and nulls the pointer; NULL inside is allowed. */
void car_control_close(struct car_control **control);

/* A text for what a function of the floors that know libuv returned: a CAR_E… or a UV_E… code. Static storage. */
const char *car_control_strerror(int err);

#endif
