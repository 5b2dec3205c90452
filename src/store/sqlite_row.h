#ifndef CARILLON_STORE_SQLITE_ROW_H
#define CARILLON_STORE_SQLITE_ROW_H

#include <sqlite3.h>

#include "carillon/base/span.h"

struct car_event_row;

/* What car_sqlite_row reads, in this order. */
#define CAR_SQLITE_ROW "seq, id, wall_ms, type, content"

/* A column's bytes, valid until the statement goes on. */
struct car_span car_sqlite_column(sqlite3_stmt *statement, int at);

/* The event that a statement stands at; its spans are valid until the statement goes on. 0; CAR_EINVAL where it is
 * none. */
int car_sqlite_row(sqlite3_stmt *statement, struct car_event_row *row);

#endif
