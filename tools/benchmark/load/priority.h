#ifndef CARILLON_LOAD_PRIORITY_H
#define CARILLON_LOAD_PRIORITY_H

#include <stdbool.h>

/*
 * Has this thread, and those it makes from then on, run as soon as they are woken (SCHED_FIFO, sched(7)). An open loop
 * wants that: one that waits for a processor until the server has used up its share measures the scheduler. Returns
 * whether it is permitted; where it is not, the lateness that is reported tells.
 */
bool priority_raise(void);

#endif
