#ifndef CARILLON_LOAD_STALL_H
#define CARILLON_LOAD_STALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Whether a thread that turns a loop gets a processor when it has something to do. A timer goes off often enough to ask
 * that at moments that have nothing to do with the run: either the thread waits, and ought to return at once; or it is
 * between two waits, and ought to get as much processor time as passes until the next one. What it was kept from is a
 * stall, be it by other threads or by a stop (SIGSTOP). Owner: the loop's thread; others read the two figures.
 */
struct stall {
    int timer;
    uint64_t tick;      /* when the timer goes off next, by clock_now */
    uint64_t wall, cpu; /* at the end of the last wait: when that was, and the thread's processor time; 0: none yet */
    uint64_t lost;      /* between the last two waits */
    uint64_t asleep;    /* when the wait began */
    _Atomic uint64_t ticks;   /* that met a stall */
    _Atomic uint64_t longest; /* nanoseconds, since stall_restart */
};

/* The share of some time in which a thread would not have got a processor, and the longest stall in it. */
struct starvation {
    double share;
    uint64_t longest;
};

/* Starts the timer; returns its file, which wants to be watched for input, or -1 with errno. */
int stall_open(struct stall *stall);
void stall_close(struct stall *stall);

/* The loop's thread is about to wait; it has waited. */
void stall_before_wait(struct stall *stall, uint64_t now);
void stall_after_wait(struct stall *stall, uint64_t now);

/* Forgets the longest stall; returns the ticks so far. Any thread. */
uint64_t stall_restart(struct stall *stall);

/* What was since stall_restart returned `before`, in so much time; goes into *worst where it is more. Any thread. */
void stall_read(const struct stall *stall, uint64_t before, uint64_t ns, struct starvation *worst);

#endif
