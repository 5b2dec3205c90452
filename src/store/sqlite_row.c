#include "sqlite_row.h"

#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"

struct car_span car_sqlite_column(sqlite3_stmt *statement, int at) {
    const char *bytes = sqlite3_column_blob(statement, at);
    return car_span_of(bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, at));
}

int car_sqlite_row(sqlite3_stmt *statement, struct car_event_row *row) {
    struct car_span id = car_sqlite_column(statement, 1);
    *row = (struct car_event_row){.seq = (uint64_t)sqlite3_column_int64(statement, 0),
                                  .wall_ms = sqlite3_column_int64(statement, 2),
                                  .type = car_sqlite_column(statement, 3),
                                  .content = car_sqlite_column(statement, 4)};
    if (row->seq == 0 || row->seq > CAR_EVENT_SEQ_MAX || id.len != sizeof row->id.bytes ||
        !car_event_type_ok(row->type)) {
        return CAR_EINVAL;
    }
    memcpy(row->id.bytes, id.ptr, id.len);
    return 0;
}
