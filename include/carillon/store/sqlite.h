#ifndef CARILLON_STORE_SQLITE_H
#define CARILLON_STORE_SQLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct car_feed;
struct car_log;
struct car_reader;
struct car_reclaim;

struct car_sqlite_config {
    const char *path; /* of the database, made where there is none */
    int lock;     /* an inherited descriptor that has the lock, if it is of this file; taken over. 0: there is none */
    bool relaxed; /* answer before the commit, which comes within 100 ms */
    uint64_t retain_ms, retain_count; /* how long, and how many of a tenant, events are kept where its own
                                         terms do not say so; 0: for ever, all */
};

/*
 * The log in an SQLite database. A thread of its own commits what is ready, of all tenants together, in one
 * transaction. Opening gives the feed its epoch and its tenants, each with its newest events, as many as the feed
 * keeps. `reader` is the calling thread's.
 *
 * 0. Else a negative code, and `why`, of `size` bytes, says in one line what is wrong: no access, not an SQLite
 * database, another program's, a newer Carillon's, in use by another server, damaged. Such a file is not written to.
 */
int car_log_sqlite(struct car_feed *feed, struct car_reclaim *reclaim, struct car_reader *reader,
                   const struct car_sqlite_config *config, struct car_log **out, char *why, size_t size);

/* What a backup has. */
struct car_sqlite_backup {
    uint64_t events, bytes;
};

/*
 * Copies the database at `path`, as it is at one moment, to a new file, which is a database of the same log; while a
 * server uses it, or none. The file gets its name when it is whole and on the disk. 0; CAR_ESYS: `why` says in one line
 * what is wrong, and nothing is left behind.
 */
int car_sqlite_backup(const char *path, const char *file, struct car_sqlite_backup *done, char *why, size_t size);

/* Makes it fail soon. Any thread, a signal's handler as well. */
void car_sqlite_backup_stop(void);

#endif
