#ifndef CARILLON_FEED_PUBLISH_H
#define CARILLON_FEED_PUBLISH_H

#include "carillon/runtime/mailbox.h"

struct car_event;
struct car_tenant;
struct car_worker;

/*
 * One event on its way into the log. Embedded in whatever waits for the answer, which keeps it alive until `done`.
 */
struct car_publish {
    /* set by the caller */
    struct car_tenant *tenant;
    struct car_event *event;                   /* not sealed; `done` gets it sealed, and owns its reference */
    void (*done)(struct car_publish *publish); /* must not detach a session: a lane may be in the middle of its turn */

    /* the feed's, until `done` */
    struct car_worker *worker;
    struct car_note note;
    int status; /* for `done`: 0 the event is in the log; negative it is not and never will be */
};

/*
 * Has the event numbered and stored: at once, or, where another thread is the tenant's drainer, by that one. 0: `done`
 * will be called exactly once on this worker's thread, perhaps before this returns, and perhaps with CAR_EFULL or
 * CAR_ENOMEM as its status. CAR_EFULL where the inlet is full and CAR_ENOMEM: nothing happened, and `done` is not
 * called. On a worker's thread; events of one thread and tenant keep their order.
 */
int car_publish(struct car_publish *publish, struct car_worker *worker);

#endif
