#ifndef CARILLON_STORE_SQLITE_CHECKPOINT_H
#define CARILLON_STORE_SQLITE_CHECKPOINT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sqlite_db.h"

/*
 * When the WAL goes to the database. The upkeep's thread does that beside the commits; what it leaves is whatever was
 * committed meanwhile, so under a load that never pauses the WAL would never be whole in the database, and would grow
 * for ever. Where it is long, the log's thread itself brings over the little that is left: the next commit then begins
 * the WAL anew.
 *
 * No checkpoint begins where there is nothing to be brought over, and no two run at a time: in releases of SQLite up to
 * 3.51.2 one that begins just when a commit begins the WAL anew can damage the database ("the WAL-reset bug",
 * sqlite.org/wal.html). While there is something left, no commit can do that.
 *
 * Where nothing of a removed tenant is to be left (sqlite_tend.h), the WAL is emptied: once more by both, so that no
 * commit waits for more than the little that is left. The log's thread does that between two commits, and nobody else
 * writes, so that none can begin the WAL anew meanwhile, whatever there was to be brought over.
 *
 * A WAL's frames are counted as its generation << 32 | frames: the generation changes where it begins anew.
 */
struct car_checkpoints {
    pthread_mutex_t running;      /* held while one runs */
    atomic_uint_fast64_t written; /* by the log's thread: what the WAL has after the last commit */
    atomic_uint_fast64_t done;    /* under `running`; read by any thread: how far the last one came */
    uint64_t again;               /* the log's thread: frames before it tries again */
};

/* How much of a WAL is worth a checkpoint, in pages; and how much of one is too much. */
#define CAR_CHECKPOINT_PAGES 1000u
#define CAR_CHECKPOINT_HIGH  8192u

void car_checkpoints_init(struct car_checkpoints *checkpoints);

/* Takes the place of SQLite's own checkpoints on the connection that commits. */
void car_checkpoints_watch(struct car_checkpoints *checkpoints, struct car_sqlite_db *db);

/* Pages of the WAL that are not in the database yet. Any thread. */
uint64_t car_checkpoints_pending(const struct car_checkpoints *checkpoints);

/* Brings over what there is, however long that takes. On the upkeep's thread, with its own connection, which syncs as
 * the one that commits does: the WAL before, and the database after. */
int car_checkpoint_run(struct car_checkpoints *checkpoints, struct car_sqlite_db *db);

/* After a commit, on the log's thread: what is left of a long WAL, where that is little, or where it is far too long.
 */
void car_checkpoint_rest(struct car_checkpoints *checkpoints, struct car_sqlite_db *db);

/* Brings over what there is, cuts the WAL to no length, and lets go of the pages that the connection has in memory.
 * Between two commits, on the log's thread, with the connection that commits. false where a reader, or another thread's
 * checkpoint, is in the way, or the disk: to be tried again; the WAL is whole then, and where it was the disk, db->why
 * says so. */
bool car_checkpoint_empty(struct car_checkpoints *checkpoints, struct car_sqlite_db *db);

#endif
