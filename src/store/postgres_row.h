#ifndef CARILLON_STORE_POSTGRES_ROW_H
#define CARILLON_STORE_POSTGRES_ROW_H

#include <libpq-fe.h>

#include "carillon/feed/event.h"

/* The columns of carillon.events that make a row, in the order in which they are selected. */
#define CAR_PG_ROW "seq, id, wall_ms, type, content, traceparent"
enum { CAR_PG_ROW_COLUMNS = 6 };

/* An event's row from a result whose columns CAR_PG_ROW begin at `column`; its spans live as long as that. 0;
 * CAR_EINVAL where it is none. */
int car_pg_row(const PGresult *result, int at, int column, struct car_event_row *row);

#endif
