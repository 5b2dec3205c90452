#ifndef CARILLON_STORE_SQLITE_ROW_H
#define CARILLON_STORE_SQLITE_ROW_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/span.h"

struct car_event_row;

/* What car_sqlite_row reads, in this order. */
#define CAR_SQLITE_ROW "seq, id, wall_ms, type, content, traceparent, sum"

/* A column's bytes, valid until the statement goes on. */
struct car_span car_sqlite_column(sqlite3_stmt *statement, int at);

/* What a row says, in a number: a CRC-32. SQLite sees that a page of a tree is none, but not that a text is another,
 * nor that it was another tenant's. */
int64_t car_sqlite_sum(struct car_span tenant, const struct car_event_row *row);

/* The same for a tenant's name. */
int64_t car_sqlite_name_sum(struct car_span tenant);

/* Whether a sum that was read is right: that one, or what was stored before there were sums. */
bool car_sqlite_sum_ok(int64_t sum, int64_t right);

/* The tenant's event that a statement stands at; its spans are valid until the statement goes on. 0; CAR_EINVAL where
 * it is none, or not what was stored. */
int car_sqlite_row(sqlite3_stmt *statement, struct car_span tenant, struct car_event_row *row);

#endif
