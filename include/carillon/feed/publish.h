#ifndef CARILLON_FEED_PUBLISH_H
#define CARILLON_FEED_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/runtime/mailbox.h"

struct car_event;
struct car_tenant;
struct car_worker;

/* By what a repeated request is known: digests (SHA-256) of the key that its author has given it, and of its body. */
struct car_publish_key {
    uint8_t key[32];
    uint8_t body[32];
};

/* Events of one publish, at most. */
#define CAR_PUBLISH_MAX 1000

/*
 * Events on their way into the log: one, or a batch, which is numbered without a hole, stored, published or refused as
 * a whole. Embedded in whatever waits for the answer, which keeps it and the array of its events alive until `done`.
 */
struct car_publish {
    /* set by the caller */
    struct car_tenant *tenant;
    struct car_event **events;                 /* not sealed; `done` gets them sealed, and owns their references */
    uint32_t count;                            /* 1 to CAR_PUBLISH_MAX */
    const struct car_publish_key *key;         /* borrowed until `done`; NULL where it is never a repeat of another */
    void (*done)(struct car_publish *publish); /* must not detach a session: a lane may be in the middle of its turn */

    /* the feed's, until `done` */
    struct car_worker *worker;
    struct car_note note;
    size_t bytes; /* of the events, which the tenant's memory has (memory.h) until they are forgotten or refused */
    struct car_publish *twin; /* see repeat.h */
    bool replayed;            /* for `done`: it was a repeat, and the events are those of the first with its key */
    int status; /* for `done`: 0 the events are in the log; CAR_EEXIST the key was used for another body; any other:
                   none of them is in the log, and none ever will be */
};

/* Whether the tenant's memory has room for so much more (memory.h). Where it has not, some is made, for who comes next.
 * On a worker's thread. */
bool car_publish_has_room(struct car_tenant *tenant, struct car_worker *worker, size_t bytes);

/*
 * Has the events numbered and stored: at once, or, where another thread is the tenant's drainer, by that one. 0: `done`
 * will be called exactly once on this worker's thread, perhaps before this returns, and perhaps with CAR_EFULL,
 * CAR_ENOMEM or CAR_ECLOSED as its status. CAR_EFULL where the inlet is full, CAR_ENOMEM where memory ran out or the
 * tenant's budget has (memory.h), CAR_ETOOBIG where it never fits into that, and CAR_ECLOSED where the tenant was
 * removed: nothing happened, and `done` is not called. On a worker's thread; what one thread publishes to a tenant
 * keeps its order.
 */
int car_publish(struct car_publish *publish, struct car_worker *worker);

#endif
