#ifndef CARILLON_FEED_LOG_H
#define CARILLON_FEED_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/runtime/mailbox.h"

struct car_event;
struct car_feed;
struct car_filter;
struct car_log;
struct car_log_ask;
struct car_log_change;
struct car_log_metrics;
struct car_tenant;
struct car_worker;

enum car_log_rest {
    CAR_LOG_AWAKE,
    CAR_LOG_GOES_TO_REST,
    CAR_LOG_RESTS,
    CAR_LOG_CANNOT_REST, /* the store does not take what is owed: it has to be woken */
    CAR_LOG_WAKES,
};

/*
 * The contract of a log: where events become numbered and stored. A backend implements it in `store` and embeds car_log
 * as its first member.
 */
struct car_log_ops {
    /* Something is to be numbered for the tenant, and the caller has just become its drainer: the log now has the job.
     * It calls car_drain_take, car_drain_seal and car_drain_finish (drain.h) here or on another thread of its own,
     * soon. Any worker's thread. */
    void (*ready)(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker);

    /* Has a question answered away from all loops, and its `done` called, later. NULL where the log has nothing but
     * what is in memory. On the question's worker. */
    void (*ask)(struct car_log *log, struct car_log_ask *ask);

    /* Has a change made durable, whatever is said of events, and settles it (account.h). On the change's worker. */
    void (*change)(struct car_log *log, struct car_log_change *change);

    /* All workers have ended. Nulls the pointer. */
    void (*close)(struct car_log **log);

    /*
     * Handing the store over to another process, which opens it while this one still has it. The next three are NULL
     * where that cannot be.
     *
     * Has the log come to rest (true): it makes durable what it owes, and from then on touches nothing of the store but
     * to read, and refuses what comes; or has it wake (false), as though nothing had been, also while it is on its way
     * to rest. Whoever had the store meanwhile has ended then, and stored nothing. One thread asks for it; waking is
     * not waited for, and before CAR_LOG_AWAKE it cannot be asked to rest again.
     */
    void (*rest)(struct car_log *log, bool on);

    /* How far that is. That thread. */
    enum car_log_rest (*rests)(const struct car_log *log);

    /* The descriptor that holds the lock on the store: who inherits it has the lock as well. Borrowed. NULL: the lock
     * is let go of while the log rests. */
    int (*lock)(const struct car_log *log);
};

struct car_log {
    const struct car_log_ops *ops;
    struct car_feed *feed;
    atomic_int rest;                 /* a car_log_rest */
    struct car_log_metrics *metrics; /* of who stores (feed_metrics.h); NULL where nothing is; the log frees it */
    atomic_bool failing; /* what it was last asked to store was refused; written by who stores, read by any thread */
};

enum car_log_kind { CAR_LOG_PAGE, CAR_LOG_TYPES };

/* A question to a log that keeps more than memory does, about one tenant. First member of what it is about; whoever
 * asks keeps that alive until `done`. */
struct car_log_ask {
    /* set by the caller */
    enum car_log_kind kind;
    struct car_tenant *tenant;
    struct car_worker *worker; /* on whose thread `done` is called */
    void (*done)(struct car_log_ask *ask);

    /* the log's, until `done` */
    struct car_note note;
    int status; /* for `done`: 0; CAR_ENOMEM; CAR_ESYS where the store cannot be read; CAR_EINVAL where what it has is
                   damaged: and then there is no answer */
};

#define CAR_LOG_PAGE_EVENTS 64

/* A page of a tenant's log: the events from `first` to `last`, or, descending, from `last` to `first`, that pass a
 * filter; as many as fit. */
struct car_log_page {
    struct car_log_ask ask; /* first; CAR_LOG_PAGE */

    /* set by the caller */
    uint64_t first, last;            /* seqs, both included */
    bool descending;                 /* the newest first */
    uint32_t max_events;             /* 1 to CAR_LOG_PAGE_EVENTS */
    size_t max_bytes;                /* of JSON; one event is always read */
    const struct car_filter *filter; /* NULL where all pass; lives until `done` */

    /* The answer. `seen` events of the range have been looked at, from its beginning on: those of them that pass, and
     * have not been forgotten, are in `events`. It is less than the whole range where the page is full, and where
     * looking on would take long; and 0 where what was asked for is published, and not in the store yet. */
    uint64_t seen;
    uint64_t forgotten; /* when it was read: what the store had forgotten */
    uint32_t count;
    struct car_event *events[CAR_LOG_PAGE_EVENTS]; /* the caller's references */
};

#define CAR_LOG_TYPES_MAX 1000

/* How many events of each type a tenant has in the log, the most frequent first. */
struct car_log_types {
    struct car_log_ask ask; /* first; CAR_LOG_TYPES */

    uint64_t newest, forgotten; /* what is counted: the events behind `forgotten`, up to `newest` */
    uint32_t count;
    struct car_log_type {
        char type[65]; /* NUL-terminated */
        uint64_t count;
    } types[CAR_LOG_TYPES_MAX];
};

#endif
