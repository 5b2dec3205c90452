#ifndef CARILLON_STORE_SQLITE_UPKEEP_H
#define CARILLON_STORE_SQLITE_UPKEEP_H

#include <stddef.h>

#include "sqlite_checkpoint.h"

struct car_reclaim;
struct car_sqlite_config;
struct car_upkeep;

/*
 * What a database wants beside its commits, on a thread of its own ("upkeep") with connections of its own: checkpoints.
 */

/* Starts the thread, which waits to be told. NULL: `why` says why not. */
struct car_upkeep *car_upkeep_open(struct car_reclaim *reclaim, const struct car_sqlite_config *config, char *why,
                                   size_t size);

/* Of the connection that commits. */
struct car_checkpoints *car_upkeep_checkpoints(struct car_upkeep *upkeep);

/* A transaction was committed. On the log's thread. */
void car_upkeep_committed(struct car_upkeep *upkeep);

/* The log's thread has ended, and the one that commits is still open. Nulls the pointer. */
void car_upkeep_close(struct car_upkeep **upkeep);

#endif
