#ifndef CARILLON_NET_ARRIVALS_H
#define CARILLON_NET_ARRIVALS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "carillon/runtime/mailbox.h"
#include "carillon/runtime/task.h"

struct car_ring;
struct car_worker;

/*
 * Accepted sockets on their way to a worker.
 *
 * Producer: the listener's thread, which puts any number and announces them once. Consumer: the worker, which takes a
 * few in each turn: every one of them may bring a request along, and others wait meanwhile. Ordering: put, then turn
 * `posted` to true; the worker turns it to false before it takes, so none is left behind.
 */
struct car_arrivals {
    struct car_ring *ring; /* spsc */
    atomic_bool posted;
    struct car_note note;
    struct car_task task;
    struct car_worker *worker;
};

/* 0 or CAR_ENOMEM. */
int car_arrivals_open(struct car_arrivals *arrivals, struct car_worker *worker);

/* Both threads have ended. */
void car_arrivals_close(struct car_arrivals *arrivals);

/* Producer's side. `over_limit`: it is only to be told so. false where there is no room. */
bool car_arrivals_put(struct car_arrivals *arrivals, int fd, bool over_limit);
bool car_arrivals_is_full(const struct car_arrivals *arrivals);
void car_arrivals_announce(struct car_arrivals *arrivals);

/* Consumer's side: takes all that are there, before something that concerns all connections. */
void car_arrivals_take_all(struct car_arrivals *arrivals);

#endif
