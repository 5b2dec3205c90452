#include "sqlite_row.h"

#include <string.h>
#include <zlib.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/proto/traceparent.h"

#define NOT_SUMMED (-1) /* it is older than sums are */

struct car_span car_sqlite_column(sqlite3_stmt *statement, int at) {
    const char *bytes = sqlite3_column_blob(statement, at);
    return car_span_of(bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, at));
}

static uLong add(uLong sum, const void *bytes, size_t len) {
    return crc32_z(sum, bytes, len);
}

int64_t car_sqlite_sum(struct car_span tenant, const struct car_event_row *row) {
    uLong sum = add(add(0, tenant.ptr, tenant.len), "", 1); /* the NUL keeps texts apart */
    sum = add(add(sum, &row->seq, sizeof row->seq), row->id.bytes, sizeof row->id.bytes);
    sum = add(add(sum, &row->wall_ms, sizeof row->wall_ms), row->type.ptr, row->type.len);
    sum = add(add(sum, "", 1), row->content.ptr, row->content.len);
    /* The sum of a row without is what it was before there were any. */
    return (int64_t)(row->traceparent.len ? add(add(sum, "", 1), row->traceparent.ptr, row->traceparent.len) : sum);
}

int64_t car_sqlite_name_sum(struct car_span tenant) {
    return (int64_t)add(0, tenant.ptr, tenant.len);
}

bool car_sqlite_sum_ok(int64_t sum, int64_t right) {
    return sum == right || sum == NOT_SUMMED;
}

int car_sqlite_row(sqlite3_stmt *statement, struct car_span tenant, struct car_event_row *row) {
    struct car_span id = car_sqlite_column(statement, 1);
    *row = (struct car_event_row){.seq = (uint64_t)sqlite3_column_int64(statement, 0),
                                  .wall_ms = sqlite3_column_int64(statement, 2),
                                  .type = car_sqlite_column(statement, 3),
                                  .content = car_sqlite_column(statement, 4),
                                  .traceparent = car_sqlite_column(statement, 5)};
    if (row->seq == 0 || row->seq > CAR_EVENT_SEQ_MAX || id.len != sizeof row->id.bytes ||
        !car_event_type_ok(row->type) || (row->traceparent.len && !car_traceparent_ok(row->traceparent))) {
        return CAR_EINVAL;
    }
    memcpy(row->id.bytes, id.ptr, id.len);
    return car_sqlite_sum_ok(sqlite3_column_int64(statement, 6), car_sqlite_sum(tenant, row)) ? 0 : CAR_EINVAL;
}
