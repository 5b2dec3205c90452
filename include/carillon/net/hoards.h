#ifndef CARILLON_NET_HOARDS_H
#define CARILLON_NET_HOARDS_H

#include "carillon/runtime/task.h"
#include "carillon/runtime/timer.h"

struct car_hoard;
struct car_net_local;

/* What is kept for those on one worker (src/net/hoard.h), and when it is looked through: at the end of a turn in which
 * some of it grew, and from time to time while there is any. Owner: the worker's thread. */
struct car_hoards {
    struct car_hoard *list;
    struct car_task look;
    struct car_timer again;
};

/* Prepares what is zeroed; car_net_attach does. */
void car_hoards_init(struct car_hoards *hoards);

#endif
