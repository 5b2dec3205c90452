#ifndef CARILLON_STORE_GROUP_HEALTH_H
#define CARILLON_STORE_GROUP_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "carillon/feed/log.h"

struct car_rows;

/* Whether a store takes anything. The log's thread's. */

static inline bool car_group_is_failing(const struct car_log *log) {
    return atomic_load_explicit(&log->failing, memory_order_relaxed);
}

/* What the store has just said, 0 or a negative code. Whether it is failing now. */
bool car_group_said(struct car_log *log, const struct car_rows *rows, int err);

/* Has it write something that changes nothing, in a transaction. */
int car_group_probe(struct car_rows *rows);

#endif
