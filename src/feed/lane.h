#ifndef CARILLON_FEED_LANE_H
#define CARILLON_FEED_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "carillon/runtime/mailbox.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/task.h"

struct car_event;
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
    atomic_bool woken;             /* the note is in the mailbox */
    atomic_uint_fast64_t consumed; /* `position`, for the drainer */
    struct car_note note;

    /* the worker only */
    struct car_task task;
    uint64_t position;        /* the last seq that was fanned out here */
    struct car_session *live; /* the sessions at `position` */
    unsigned sessions;        /* all that are attached */
    bool gone;
    bool reclaimed;
};

/* The worker's lane of the tenant, made where there is none; in step with the tenant's newest event as of some moment
 * during the call. NULL where memory ran out. On the worker's thread. */
struct car_lane *car_lane_get(struct car_worker *worker, struct car_tenant *tenant);

/* The last session has left. On the worker's thread. */
void car_lane_drop(struct car_lane *lane);

/* Fans out what has come since; afterwards `position` is at least what was the newest seq when the call began. On the
 * worker's thread. */
void car_lane_sync(struct car_lane *lane);

/* Drainer's side: offers sealed events to all lanes of the tenant and wakes the other workers. Inside of a section of
 * the calling thread's reader; `self` is the calling worker, or NULL. Returns its own lane, which the caller wakes, or
 * NULL. */
struct car_lane *car_lanes_put(struct car_tenant *tenant, unsigned worker_count, struct car_event *const *events,
                               size_t count, struct car_worker *self);

/* Has the lane read in this turn of its worker, behind what is already put off to its end. On the worker's thread. */
void car_lane_wake(struct car_lane *lane);

/* Drainer's side: the lowest seq that some lane has not gone past, or `newest` where no lane is behind. Inside of a
 * section. */
uint64_t car_lanes_floor(struct car_tenant *tenant, unsigned worker_count, uint64_t newest);

#endif
