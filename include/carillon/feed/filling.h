#ifndef CARILLON_FEED_FILLING_H
#define CARILLON_FEED_FILLING_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * How fast memory fills up: what may still come before the process's memory has to be looked at again, which nobody's
 * clock can know. What has come in part and what sockets do not take is counted here, for it is as fast as a network;
 * what goes is not, for where it lay may still be resident.
 *
 * Owner: the main thread, which sets it at each look. Any thread adds; whoever takes the last of it asks for a look,
 * and nobody else until it has been set again. Relaxed: it is a number alone, and an estimate.
 */
struct car_filling {
    atomic_int_fast64_t room; /* bytes; at or below zero a look has been asked for */
    void (*ask)(void *user); /* has it looked at soon, on any thread; NULL: nobody looks. Set before there are others */
    void *user;
};

/* So many bytes may come. On the main thread. */
void car_filling_set(struct car_filling *filling, uint64_t room);

/* So many have. Any thread. */
void car_filling_add(struct car_filling *filling, uint64_t bytes);

#endif
