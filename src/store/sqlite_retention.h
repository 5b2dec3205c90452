#ifndef CARILLON_STORE_SQLITE_RETENTION_H
#define CARILLON_STORE_SQLITE_RETENTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "carillon/runtime/mailbox.h"

#include "sqlite_db.h"

struct car_log;
struct car_retention;
struct car_tenant;

/*
 * Forgetting, on the log's thread: first the tenant's place moves, which is one small update, and nobody finds the
 * events any more; then their rows go, a few in each transaction, so that no commit becomes long. The upkeep's thread
 * says what; where events come, their transactions do it, and where none come, some that are made for it.
 */

/* What is to be forgotten of one tenant. Made by the upkeep's thread, which frees it after the log's has ended. */
struct car_retiring {
    struct car_note note; /* first */

    /* never change */
    int64_t n;
    struct car_tenant *tenant;
    struct car_retention *retention;

    /* written by the upkeep's thread, never backwards */
    atomic_uint_fast64_t forget;  /* nobody is to find the events up to this seq */
    atomic_uint_fast64_t free_to; /* and the rows up to this one may go */
    atomic_bool removed;          /* it goes after what the others forget */
    atomic_bool erase;            /* once these rows are gone, all else that there is of the tenant goes, too */

    atomic_bool listed; /* the log's thread has it, or will; whoever turns it on sees to that */

    /* the log's thread */
    struct car_retiring *next;
    uint64_t forgotten, first;         /* as the database has them: first is the first row that is there */
    bool erased;                       /* nothing is left of it */
    uint64_t new_forgotten, new_first; /* in the transaction that is open */
    bool new_erased;
};

enum { CAR_RETENTION_STATEMENTS = 12, CAR_RETENTION_AT_ONCE = 64, CAR_RETENTION_TALLIES = 16 };

struct car_retention {
    /* never change once it is open */
    struct car_sqlite_db *db; /* the connection that commits */
    struct car_log *log;
    sqlite3_stmt *statements[CAR_RETENTION_STATEMENTS];

    /* the log's thread */
    struct car_retiring *head, **tail;
    struct car_retiring *touched[CAR_RETENTION_AT_ONCE]; /* in the transaction that is open */
    unsigned touched_count;
    struct {
        char type[65];
        int64_t count;
    } tallies[CAR_RETENTION_TALLIES]; /* deleted, and not yet taken off the tenant's `types` */
    unsigned tally_count;
    unsigned chunk;            /* how many rows one statement deletes */
    uint64_t resting_until_us; /* after a failure */
    bool erased;               /* nothing is left of another tenant; the caller turns it off */
};

/* 0, or CAR_ESYS: db->why says what is wrong. */
int car_retention_open(struct car_retention *retention, struct car_sqlite_db *db);
void car_retention_close(struct car_retention *retention);

/* Tells the log's thread, where there is something new. On the upkeep's thread. */
void car_retention_ask(struct car_retiring *retiring);

/* Does a little of what is to be done, within the transaction that is about to be committed; with so many events in it.
 * Where that fails, nothing of it is there, and the transaction is as it was. On the log's thread, as are these: */
void car_retention_step(struct car_retention *retention, uint64_t inserted);

/* How that transaction ended. */
void car_retention_settle(struct car_retention *retention, bool committed);

#endif
