#ifndef CARILLON_STORE_POSTGRES_UNDO_H
#define CARILLON_STORE_POSTGRES_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"

struct car_pg;

/*
 * What takes a transaction out again that was committed unheard: which tenants it is about, and what they had before.
 * What a change was about to put something else in the place of, it has copied within the same transaction
 * (car_pg_accounts_send_before). Zero-initialised; the log's thread's.
 */
struct car_pg_undo {
    struct car_buf tenants, newest; /* arrays: all of them, and their newest seq */
    struct car_buf fresh;           /* those that had no row */
    struct car_buf changed;         /* those whose terms or keys it has changed */
    bool changes;                   /* there are any of these */
};

/* The next transaction is about no tenant yet. */
void car_pg_undo_clear(struct car_pg_undo *undo);

/* It is about that tenant, whose newest seq is this before, and which has a row, or none. */
void car_pg_undo_put(struct car_pg_undo *undo, int64_t n, uint64_t newest, bool rooted, bool changed);

/* false where memory ran out: then it is to be filled anew. */
bool car_pg_undo_is_whole(struct car_pg_undo *undo);

/* Takes it out: the changes, and, unless they are to stay, the events. `mark` is the log's before. All of it or
 * nothing. 0; CAR_ESYS. */
int car_pg_undo_run(const struct car_pg_undo *undo, struct car_pg *pg, bool events, uint64_t mark);

void car_pg_undo_free(struct car_pg_undo *undo);

#endif
