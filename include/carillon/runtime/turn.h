#ifndef CARILLON_RUNTIME_TURN_H
#define CARILLON_RUNTIME_TURN_H

#include <stdint.h>

/*
 * The time by which a thread measures what it does. It is taken when the loop has been woken, and when it begins to
 * write, and not for each of the many things that happen in between. All of it is the calling thread's own.
 */

/* Takes the time anew, in microseconds of CLOCK_MONOTONIC, and returns it. */
uint64_t car_turn_mark(void);

/* When that was last done; 0 on a thread that never did. */
uint64_t car_turn_us(void);

/* The turn ends: when it was first marked, 0 where it was not, for then nothing happened; and now. */
struct car_turn {
    uint64_t began_us, ended_us;
};
struct car_turn car_turn_end(void);

/* Called when a turn has ended and all that it put off has been done. Embedded in what it is for. */
struct car_turn_end {
    struct car_turn_end *next;
    void (*run)(struct car_turn_end *end, uint64_t now_us);
};

#endif
