#ifndef CARILLON_STORE_GROUP_STATE_H
#define CARILLON_STORE_GROUP_STATE_H

#include <stdatomic.h>

#include "carillon/runtime/mailbox.h"
#include "carillon/runtime/task.h"
#include "carillon/runtime/timer.h"

#include "group.h"
#include "group_changes.h"
#include "group_keys.h"
#include "group_line.h"
#include "group_owed.h"
#include "pages.h"

struct car_drain_seat;

/* Inside of the group's files only. */

/* Bounds on one transaction, which may go beyond them by one batch. What is left is the next one's. */
#define EVENTS_MAX CAR_GROUP_EVENTS
#define BYTES_MAX  (4u << 20)
#define PARTS_MAX  1024u

#define CAR_GROUP_PROBE_MS 500

/* One tenant's share in a transaction. */
struct car_group_part {
    struct car_drain_seat *seat;
    struct car_publish **items;
    size_t count;
    size_t fresh; /* those in front that are to be stored; the others are repeats (repeat.h) */
    int err;      /* why those are refused, whatever becomes of the transaction */
};

struct car_group {
    struct car_log log; /* first */
    struct car_rows *rows;
    struct car_pages *pages;
    struct car_worker *worker; /* the log's thread; all that follows is its own */
    struct car_note stop;
    bool stopping; /* its wheel has gone */
    struct car_task turn;
    struct car_group_line ready; /* those that are not in a part */

    struct car_group_part parts[PARTS_MAX];
    size_t part_count;
    struct car_publish *items[EVENTS_MAX]; /* each has at least one event */
    size_t item_count;
    size_t event_count; /* less than EVENTS_MAX + CAR_PUBLISH_MAX */
    size_t stored;      /* of these events, so many are no repeats, and were inserted */
    size_t bytes;
    struct car_group_keys keys;
    struct car_group_changes changes;
    struct car_timer timer; /* set while anything is owed, or the store is failing */
    struct car_timer look;  /* set where the store may go */

    /* relaxed */
    bool relaxed;
    bool open; /* a transaction is, and all that is owed has been inserted in it */
    struct car_group_owed owed;

    struct car_note rest;
    atomic_bool rest_told; /* the note is on its way; any thread */
    bool resting;          /* another process has the store */

    struct car_timer tending;
    uint64_t tended; /* transactions, when that was set */
};

static inline struct car_group *car_group_of(struct car_log *log) {
    return (struct car_group *)log;
}

/* Commits what is owed. Where that fails it stays owed. 0, or a negative code. On the log's thread. */
int car_group_flush(struct car_group *group);

/* Coming to rest and waking: car_log_ops. */
void car_group_rest_init(struct car_group *group);
void car_group_rest(struct car_log *log, bool on);
enum car_log_rest car_group_rests(const struct car_log *log);
int car_group_lock(const struct car_log *log);

#endif
