#ifndef CARILLON_STORE_GROUP_H
#define CARILLON_STORE_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/feed/log.h"
#include "carillon/feed/publish.h"

struct car_event;
struct car_feed;
struct car_log_change;
struct car_pages;
struct car_reclaim;
struct car_rows;
struct car_tenant;
struct car_worker;

/*
 * Group commit: the log's thread takes what waits at all tenants that are ready, has it stored in one transaction, and
 * then publishes it. What comes meanwhile is the next transaction's: on an idle server that is one event, and no event
 * waits for others to come; on a busy one it is many, for the price of one sync.
 */

/* The key of a publish that was stored, and which events it led to. */
struct car_rows_key {
    const struct car_tenant *tenant;
    struct car_publish_key key;
    uint64_t first; /* seq */
    uint32_t count;
    int64_t at_ms; /* wall clock; the events' time */
};

/* Where the events go. Embedded as its first member in what knows how. On the log's thread, all of it, but `free`. Each
 * returns 0, or a negative code, and `why` says what is wrong. */
struct car_rows_ops {
    int (*begin)(struct car_rows *rows);

    /* What is inserted next is this tenant's, up to seq `newest`. Within begin and commit, as is `insert`. */
    int (*tenant)(struct car_rows *rows, const struct car_tenant *tenant, uint64_t newest);

    /* Stores a sealed event. */
    int (*insert)(struct car_rows *rows, const struct car_event *event);

    /* Looks up the keys of these publishes, each of which has one, all of one transaction at once: so that a store that
     * is far away is asked once. For one that is known, has been remembered after `since_ms`, and whose events have not
     * been forgotten (car_tenant_forgotten): car_repeat_fits, and where that is so, car_repeat_replay with its events.
     * The same key may be among them twice. Within begin and commit, before anything is inserted; what was inserted
     * since begin counts. After an error all of them are refused, decided or not. */
    int (*recall)(struct car_rows *rows, struct car_publish *const *publishes, size_t count, int64_t since_ms);

    /* Stores keys, in place of what was known of them, all of one transaction at once. Within begin and commit, after
     * their events. */
    int (*remember)(struct car_rows *rows, const struct car_rows_key *keys, size_t count);

    /* Forgets keys that were remembered up to `since_ms`: the `max` oldest of them, and those of the same millisecond.
     * Within begin and commit. */
    int (*expire)(struct car_rows *rows, int64_t since_ms, size_t max);

    /* Stores a change (account.h). Within begin and commit; what was inserted since begin is there already. NULL
     * where there is no place for them: they are refused. */
    int (*change)(struct car_rows *rows, const struct car_log_change *change);

    /* Writes something that changes nothing: whether the store takes anything again. Within begin and commit. */
    int (*probe)(struct car_rows *rows);

    /* Makes what was inserted last, whatever happens to the machine. Where that fails, nothing of it is there. */
    int (*commit)(struct car_rows *rows);

    /* Nothing of it is to be there. */
    void (*rollback)(struct car_rows *rows);

    /* Another process is to have the store (true), or had it (false): see car_log_ops. What was inserted is committed.
     */
    void (*rest)(struct car_rows *rows, bool on);

    /* Whether nothing of the store is touched any more, after that. Any thread. NULL: it is so at once. */
    bool (*rests)(const struct car_rows *rows);

    /* As that of car_log_ops: -1 where nothing can be inherited. Any thread. */
    int (*lock)(const struct car_rows *rows);

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

/* The log's thread. */
struct car_worker *car_group_worker(struct car_log *log);

/* Has a transaction made soon, where no events have one made: there is something that `commit` does beside. On the
 * log's thread. */
void car_group_tend(struct car_log *log);

#endif
