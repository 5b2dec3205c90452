#ifndef CARILLON_FEED_SCAN_H
#define CARILLON_FEED_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/runtime/task.h"

struct car_event;
struct car_filter;
struct car_page;
struct car_tenant;
struct car_worker;

#define CAR_SCAN_EVENTS_MAX 1000

/* No scan finds more bytes of events than about this, whatever their number. */
#define CAR_SCAN_BYTES_MAX (8u << 20)

/*
 * Looking for events in a tenant's log: in memory, and then in what the log keeps beyond it, page by page. Embedded in
 * who wants them, which keeps it alive until `done`. Belongs to the worker's thread.
 */
struct car_scan {
    /* set by the caller */
    struct car_tenant *tenant;
    struct car_worker *worker;
    uint64_t first, last;            /* seqs, both included; what is not there is passed by. Empty where first > last */
    uint32_t limit;                  /* how many events at most, 1 to CAR_SCAN_EVENTS_MAX */
    bool descending;                 /* from `last` on; else from `first` on */
    const struct car_filter *filter; /* NULL where all pass; lives until `done` */
    void (*done)(struct car_scan *scan);

    /* for `done` */
    int status;                /* 0; or negative, and there are no events: as car_log_ask.status; CAR_ENOMEM also where
                                  the tenant has as much memory in use as it may */
    uint32_t count;            /* events found, in the order of the scan */
    struct car_event **events; /* the scan's, until car_scan_free */
    bool more;                 /* there is at least one event that passes, behind these */

    /* the scan's */
    uint32_t room;
    size_t bytes;
    uint64_t cost;         /* of what was looked through in this turn, as flows are charged (flow.h) */
    size_t counted;        /* of what the log was asked for, as the tenant's memory */
    struct car_page *page; /* allocated where the log is asked */
    struct car_task task;  /* where a filter looks through more of memory than one turn allows */
};

/* Begins. `done` is called once, on this thread: before this returns where memory has all that it takes, and no filter
 * looks through many for it, nor the tenant's flow is spent; else later. The server does not stop before it was. */
void car_scan_start(struct car_scan *scan);

/* Lets go of the events. In `done`, or after it. */
void car_scan_free(struct car_scan *scan);

#endif
