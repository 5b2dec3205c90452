#ifndef CARILLON_FEED_LANE_H
#define CARILLON_FEED_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/metrics.h"
#include "carillon/feed/wire.h"
#include "carillon/runtime/mailbox.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/task.h"

struct car_event;
struct car_flow;
struct car_reader;
struct car_ring;
struct car_session;
struct car_tenant;
struct car_worker;

#define CAR_LANE_SLOTS 64

/* How far the slowest lane may be behind before the drainer waits for it: what the history may hold above its keep. */
#define CAR_LANE_LAG_MAX 8192

/*
 * One tenant on one worker: the ring its drainer puts events into, and the sessions the worker serves from it.
 *
 * Owner: the worker. The drainer (any thread) puts into `ring`, sets `woken`, posts `note`, reads `consumed`. Ordering:
 * put, raise `filled`, then exchange `woken`; the note exchanges it back before the worker looks: a put is never
 * overlooked. The worker's own drainer puts nothing: what it has numbered lies in the history, and is still warm. A
 * full ring loses nothing: the worker reads what it missed from the history, which keeps all that is above `consumed`.
 * Reclamation: the worker takes the lane out of the tenant's slot, retires it, and frees it when no drainer can hold it
 * and the note is not in the mailbox.
 */
struct car_lane {
    struct car_retired retired;
    struct car_tenant *tenant;
    struct car_worker *worker;

    /* the drainer and the worker */
    struct car_ring *ring;
    atomic_bool filled;            /* something may be in the ring */
    atomic_bool overflowed;        /* it was full once: raised by the drainer before `filled` */
    atomic_bool woken;             /* the note is in the mailbox */
    atomic_uint_fast64_t consumed; /* `position`, for the drainer */
    struct car_note note;

    /* the worker only */
    struct car_lane *next, **pprev; /* among its worker's */
    struct car_flow *flow;          /* the tenant's on this worker: what its sessions cost is charged to it */
    struct car_task task;
    uint64_t position;          /* the last seq that was fanned out here */
    struct car_session *live;   /* the sessions at `position` */
    struct car_session *behind; /* those that read on from the history */
    struct car_link waiting;    /* of the latter, the tasks of those that want a page when another's has come */
    unsigned pages;             /* that are asked for */
    unsigned sessions;          /* all that are attached */
    uint64_t short_us;          /* since when history is waited for to go first (shed.c); 0: it is not */
    bool gone;
    bool reclaimed;

    /* written by the worker, read by any thread inside of a section: what its sessions were handed */
    car_cell delivered, delivered_bytes;
};

/*
 * A tenant's lanes, made by its first subscriber, there as long as the tenant. A slot is written by its worker only. A
 * worker that gives its lane up empties the slot first and then adds what the lane has delivered to `delivered`; who
 * sums reads that first and then the slots: so nothing is counted twice.
 */
struct car_lanes {
    car_cell delivered, delivered_bytes; /* of lanes that have gone; any thread adds */
    _Atomic(struct car_lane *) of[];     /* by the workers' numbers */
};

/* Counts `times` sessions that were handed so many events in so many bytes. On the worker's thread. */
void car_lane_count(struct car_lane *lane, enum car_wire wire, uint64_t times, uint64_t events, uint64_t bytes);

/* The worker's lane of the tenant, made where there is none; what is numbered from then on comes to it. NULL where
 * memory ran out. On the worker's thread. */
struct car_lane *car_lane_get(struct car_worker *worker, struct car_tenant *tenant);

/* The last session has left. On the worker's thread. */
void car_lane_drop(struct car_lane *lane);

/* Drainer's side: offers sealed events to all lanes of the tenant and wakes the other workers. Inside of a section of
 * the calling thread's reader; `self` is the calling worker, or NULL. Returns its own lane, which the caller wakes, or
 * NULL. */
struct car_lane *car_lanes_put(struct car_tenant *tenant, unsigned worker_count, struct car_event *const *events,
                               size_t count, struct car_worker *self);

/* Wakes all lanes of the tenant but that of `self`, which is returned, and is the caller's to wake; NULL where it has
 * none. Inside of a section. */
struct car_lane *car_lanes_call(struct car_tenant *tenant, unsigned worker_count, struct car_worker *self);

/* The worker's lane of the tenant; NULL where it has none. On the worker's thread. */
struct car_lane *car_lane_find(struct car_tenant *tenant, struct car_worker *worker);

/* Has the lane read in its tenant's next turn on its worker, behind what that has put off. On the worker's thread. */
void car_lane_wake(struct car_lane *lane);

/* Drainer's side: the lowest seq that some lane has not gone past, or `newest` where no lane is behind. Inside of a
 * section. */
uint64_t car_lanes_floor(struct car_tenant *tenant, unsigned worker_count, uint64_t newest);

#endif
