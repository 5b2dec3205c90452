#ifndef CARILLON_STORE_SQLITE_UPKEEP_H
#define CARILLON_STORE_SQLITE_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct car_feed;
struct car_log;
struct car_reclaim;
struct car_search_file;
struct car_sqlite_config;
struct car_sqlite_db;
struct car_upkeep;

/*
 * What a database wants beside its commits, on a thread of its own ("upkeep") with connections of its own: checkpoints
 * (sqlite_checkpoint.h), the search index and what is to be forgotten (sqlite_tend.h).
 */

/* Starts the thread, which waits to be told. `db` is the connection that commits. NULL: db->why says why not. */
struct car_upkeep *car_upkeep_open(struct car_feed *feed, struct car_reclaim *reclaim, struct car_sqlite_db *db,
                                   const struct car_sqlite_config *config);

/* The search index's file, for readers; they are closed before the upkeep is. */
struct car_search_file *car_upkeep_search(struct car_upkeep *upkeep);

/* The log is open: the upkeep begins. */
void car_upkeep_begin(struct car_upkeep *upkeep, struct car_log *log);

/* The next five on the log's thread. An event of the tenant of that number was inserted. */
void car_upkeep_wrote(struct car_upkeep *upkeep, int64_t n);

/* Something else has changed of it: how long its events are kept, or it was removed. */
void car_upkeep_changed(struct car_upkeep *upkeep, int64_t n);

/* A transaction is about to be committed: puts something of the upkeep's into it. Never fails: what cannot be done is
 * not. */
void car_upkeep_committing(struct car_upkeep *upkeep);

void car_upkeep_committed(struct car_upkeep *upkeep);
void car_upkeep_rolled_back(struct car_upkeep *upkeep);

/* Another process is to have the database, or had it: nothing is written until it wakes. On the log's thread. */
void car_upkeep_rest(struct car_upkeep *upkeep, bool on);

/* Whether it rests by now. Any thread. */
bool car_upkeep_rests(const struct car_upkeep *upkeep);

/* The log's thread has ended, and the connection that commits is still open. Nulls the pointer. */
void car_upkeep_close(struct car_upkeep **upkeep);

#endif
