#ifndef CARILLON_FEED_TENANT_STATE_H
#define CARILLON_FEED_TENANT_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "carillon/feed/history.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/task.h"

#include "rate.h"

struct car_lane;
struct car_ring;
struct car_worker;

/* Inside of the feed only. */
struct car_tenant {
    /* never change */
    int64_t created_ms;
    uint8_t id_len;
    char id[CAR_TENANT_ID_MAX + 1];

    /* any thread */
    atomic_bool draining; /* somebody is the drainer; whoever turns it from false to true is (drain.h) */
    atomic_bool stalled;  /* the drainer waits for a lane to be read; whoever turns it to false goes on for it */
    atomic_uint connections;
    _Atomic(struct car_ring *) inlet;            /* made by the first publisher */
    _Atomic(_Atomic(struct car_lane *) *) lanes; /* one slot a worker, made by the first subscriber; a slot is written
                                                    by its worker only */

    /* the drainer's */
    uint64_t floor;             /* every lane has gone past this seq; may have been some time ago */
    struct car_task drain_task; /* where it yields to its loop */
    struct car_worker *drain_worker;

    /* written by the drainer, read by any thread */
    struct car_history history;
    struct car_rate rate;
};

#endif
