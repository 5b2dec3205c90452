#ifndef CARILLON_STORE_SQLITE_TEND_H
#define CARILLON_STORE_SQLITE_TEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sqlite_db.h"
#include "sqlite_retention.h"
#include "sqlite_search.h"

struct car_feed;
struct car_reader;
struct car_tended;

/*
 * What each tenant wants beside its commits, a little at a time: that what is new goes into the search index, and that
 * what is too old or too much is forgotten: taken out of the index, and then deleted by the log's thread
 * (sqlite_retention.h). All on the upkeep's thread.
 *
 * A tenant that was removed has all of its events forgotten, and nothing of the others' is touched: its words are taken
 * out of the index, its rows are deleted, and when nothing is left its own row goes, and so its number may be given
 * anew after the next start. No byte of its events then stays in a file for longer than it takes until nobody reads it:
 *   - in the database what is deleted is overwritten (PRAGMA secure_delete), and so is what SQLite leaves in the gaps
 * of pages (sqlite_gaps.h);
 *   - the WAL is emptied once the tenant's row is gone, and at each start, for a former process may not have come to
 * that (sqlite_checkpoint.h);
 *   - the index has words under a key that goes with the tenant (sqlite_search.h), and a WAL that is emptied likewise.
 *
 * A tenant gets in line where it is said to have changed, and stands there for as long as there is something to do.
 */
struct car_tending {
    /* set by the caller */
    struct car_feed *feed;
    struct car_reader *reader;
    struct car_sqlite_db *db; /* a connection for it */
    struct car_retention *retention;
    struct car_search_file *search_file;
    uint64_t retain_ms, retain_count; /* 0: for ever, all; a tenant's own terms go first */

    /* its own */
    sqlite3_stmt *statements[6];
    struct car_search search;
    bool searching;            /* the index is there */
    uint64_t resting_until_us; /* it could not be written */
    struct car_tended **tended;
    size_t room;                     /* for numbers of tenants below this */
    struct car_tended *head, **tail; /* in line */
    bool looking;                    /* at all tenants, one after the other: */
    int64_t looked_to;               /* this one's number */
    size_t swept_to;
    unsigned left; /* events that the step may still read */
    uint64_t deadline_us;
};

/* The rest is set. 0; CAR_ENOMEM; CAR_ESYS: db->why says what is wrong. Without an index it goes on. */
int car_tending_open(struct car_tending *tending);
void car_tending_close(struct car_tending *tending);

/* The tenant of that number has changed; all of them may have. */
void car_tending_put(struct car_tending *tending, int64_t n);
void car_tending_put_all(struct car_tending *tending);

/* Does something for some of those in line, for some milliseconds. Whether more is to be done. */
bool car_tending_step(struct car_tending *tending);

/* Puts those in line whose oldest events have become too old, and empties the index's WAL where that is wanted. Called
 * once a second. */
void car_tending_sweep(struct car_tending *tending);

#endif
