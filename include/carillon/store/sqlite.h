#ifndef CARILLON_STORE_SQLITE_H
#define CARILLON_STORE_SQLITE_H

#include <stdbool.h>
#include <stddef.h>

struct car_feed;
struct car_log;
struct car_reader;
struct car_reclaim;

struct car_sqlite_config {
    const char *path; /* of the database, made where there is none */
    bool relaxed;     /* answer before the commit, which comes within 100 ms */
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

#endif
