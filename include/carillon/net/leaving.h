#ifndef CARILLON_NET_LEAVING_H
#define CARILLON_NET_LEAVING_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/runtime/mailbox.h"
#include "carillon/runtime/task.h"
#include "carillon/runtime/timer.h"

struct car_conn;

/*
 * A worker's connections on their way out (car_net_drain). Who is sent away comes back, here or elsewhere, and ten
 * thousand who are told at the same moment come at the same moment. So they are told a few at a time: a thousand a
 * second, by all workers together, or as many more as it takes to have told all of them in time.
 *
 * Owner: the worker's thread; `over_ms` is written before the note is posted. A connection that has been told leaves
 * the list of those that have not (`conns`), so whoever comes meanwhile, from another worker, is told as well.
 */
struct car_leaving {
    struct car_note note;
    struct car_task task;
    struct car_timer timer;
    struct car_conn *told;
    uint64_t until;   /* all have been told by then, in the loop's milliseconds */
    uint32_t over_ms; /* the same, from the beginning */
    size_t untold;    /* about as many as there still are */
};

#endif
