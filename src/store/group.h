#ifndef CARILLON_STORE_GROUP_H
#define CARILLON_STORE_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/feed/log.h"

struct car_event;
struct car_feed;
struct car_pages;
struct car_reclaim;
struct car_rows;
struct car_tenant;

/*
 * Group commit: the log's thread takes what waits at all tenants that are ready, has it stored in one transaction, and
 * then publishes it. What comes meanwhile is the next transaction's: on an idle server that is one event, and no event
 * waits for others to come; on a busy one it is many, for the price of one sync.
 */

/* Where the events go. Embedded as its first member in what knows how. On the log's thread, all of it, but `free`. Each
 * returns 0, or a negative code, and `why` says what is wrong. */
struct car_rows_ops {
    int (*begin)(struct car_rows *rows);

    /* What is inserted next is this tenant's, up to seq `newest`. Within begin and commit, as is `insert`. */
    int (*tenant)(struct car_rows *rows, const struct car_tenant *tenant, uint64_t newest);

    /* Stores a sealed event. */
    int (*insert)(struct car_rows *rows, const struct car_event *event);

    /* Writes something that changes nothing: whether the store takes anything again. Within begin and commit. */
    int (*probe)(struct car_rows *rows);

    /* Makes what was inserted last, whatever happens to the machine. Where that fails, nothing of it is there. */
    int (*commit)(struct car_rows *rows);

    /* Nothing of it is to be there. */
    void (*rollback)(struct car_rows *rows);

    /* The log's thread has ended. */
    void (*free)(struct car_rows *rows);
};

struct car_rows {
    const struct car_rows_ops *ops;
    const char *why; /* the last of them that failed did: one line, valid until the next fails */
    bool may_go;     /* it can go away without being asked for anything: then `begin` is tried when nothing is stored */
};

/* A log that stores in `rows` and is read by `pages`, both of which it takes over, with its thread running. NULL where
 * there is no memory or no thread; then they are still the caller's. `relaxed`: events are published when they are
 * inserted, and committed within 100 ms. */
struct car_log *car_group_open(struct car_feed *feed, struct car_reclaim *reclaim, struct car_rows *rows,
                               struct car_pages *pages, bool relaxed);

#endif
