#include "postgres_row.h"

#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/event_id.h"
#include "carillon/proto/traceparent.h"

#include "postgres_db.h"

enum column { SEQ, ID, WALL, TYPE, CONTENT, TRACEPARENT };

int car_pg_row(const PGresult *result, int at, int column, struct car_event_row *row) {
    struct car_span id = car_pg_column(result, at, column + ID);
    *row = (struct car_event_row){.seq = (uint64_t)car_pg_column_number(result, at, column + SEQ),
                                  .wall_ms = car_pg_column_number(result, at, column + WALL),
                                  .type = car_pg_column(result, at, column + TYPE),
                                  .content = car_pg_column(result, at, column + CONTENT),
                                  .traceparent = car_pg_column(result, at, column + TRACEPARENT)};
    if (row->seq == 0 || row->seq > CAR_EVENT_SEQ_MAX || id.len != sizeof row->id.bytes ||
        !car_event_type_ok(row->type) || (row->traceparent.len && !car_traceparent_ok(row->traceparent))) {
        return CAR_EINVAL;
    }
    memcpy(row->id.bytes, id.ptr, id.len);
    return 0;
}
