#ifndef CARILLON_STORE_GROUP_HEALTH_H
#define CARILLON_STORE_GROUP_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/feed/log.h"

struct car_rows;

/* Whether a store takes anything. The log's thread's. */

static inline bool car_group_is_failing(const struct car_log *log) {
    return atomic_load_explicit(&log->failing, memory_order_relaxed);
}

/* What the store has just said, 0 or a negative code. Whether it is failing now. */
bool car_group_said(struct car_log *log, const struct car_rows *rows, int err);

/* Commits, and counts how long that took. 0, or a negative code. */
int car_group_commit(struct car_log *log, struct car_rows *rows);

/* So many events were committed in one transaction, and how many transactions there have been. */
void car_group_count(struct car_log *log, size_t events);
uint64_t car_group_transactions(const struct car_log *log);

/* Has it write something that changes nothing, in a transaction. */
int car_group_probe(struct car_rows *rows);

#endif
