#include "join.h"

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/uuid.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/lease.h"
#include "carillon/proto/http.h"

#include "audit.h"
#include "call.h"
#include "event_array.h"
#include "query.h"
#include "respond.h"

/* Last-Event-ID, as the header or as the parameter: the seq that the stream's `id` fields had. */
static int read_last_event_id(struct car_call *call, uint64_t *seq, const char **why) {
    size_t count = 0;
    struct car_span header = car_http_header_get(call->req, "Last-Event-ID", &count);
    if (count == 0 || header.len == 0) {
        return car_query_u64(call->req->query, "last_event_id", 0, INT64_MAX, seq, why);
    }
    if (count > 1 || car_span_u64(header, INT64_MAX, seq) != 0) {
        *why = "Last-Event-ID is not the id of an event of this stream";
        return CAR_EINVAL;
    }
    return 0;
}

int car_join_read(struct car_call *call, bool last_event_id, struct car_join *join, const char **why) {
    *join = (struct car_join){0};
    int cursor = last_event_id ? read_last_event_id(call, &join->cursor.seq, why) : CAR_ENOENT;
    if (cursor == CAR_ENOENT) {
        cursor = car_query_since(call, &join->cursor.seq, why);
    }
    int snapshot = car_query_u64(call->req->query, "snapshot", 0, CAR_SNAPSHOT_MAX, &join->snapshot, why);
    int epoch = car_query_epoch(call, &join->cursor.foreign, why);
    if (cursor == CAR_EINVAL || snapshot == CAR_EINVAL || epoch == CAR_EINVAL) {
        return CAR_EINVAL;
    }
    join->has_cursor = cursor == 0;
    join->has_snapshot = snapshot == 0 && !join->has_cursor;
    return 0;
}

bool car_join_attach(struct car_call *call, struct car_session *session, struct car_lease **lease,
                     void (*ended)(void *holder), void *holder, uint64_t *newest) {
    int err = car_lease_take(lease, call->worker, &call->who, ended, holder);
    if (err == CAR_ECLOSED) {
        car_audit_call(call, session->wire == CAR_WIRE_SSE ? "sse" : "websocket", CAR_AUDIT_REFUSED, 401, CAR_REVOKED);
        car_respond_problem(call->exchange, 401, CAR_REVOKED, NULL, NULL);
        return false;
    }
    err = err ? err : car_session_attach(session, call->worker, call->who.tenant, newest);
    if (err) {
        car_lease_drop(lease);
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
    }
    return !err;
}

void car_join_established(struct car_buf *out, const struct car_api *api, const struct car_tenant *tenant,
                          struct car_span session_id, uint64_t newest) {
    struct car_span id = car_tenant_id(tenant);
    struct car_uuid session;
    char session_text[CAR_UUID_TEXT];
    char now[CAR_RFC3339_LEN];
    char epoch[CAR_EPOCH_LEN + 1];
    if (!session_id.ptr) {
        car_uuid_make(&session);
        car_uuid_write(&session, session_text);
        session_id = car_span_of(session_text, sizeof session_text);
    }
    car_rfc3339_write(car_clock_wall_ms(), now);
    car_feed_epoch(api->feed, tenant, epoch);
    car_buf_printf(out,
                   "\"type\":\"connection_established\",\"tenant_id\":\"%.*s\",\"session_id\":\"%.*s\",\"seq\":%llu,"
                   "\"epoch\":\"%s\",\"server_time\":\"%.*s\"",
                   (int)id.len, id.ptr, (int)session_id.len, session_id.ptr, (unsigned long long)newest, epoch,
                   CAR_RFC3339_LEN, now);
}

void car_join_scan(struct car_scan *scan, struct car_tenant *tenant, struct car_worker *worker, uint64_t count,
                   uint64_t newest) {
    *scan = (struct car_scan){.tenant = tenant,
                              .worker = worker,
                              .first = newest >= count ? newest - count + 1 : 1,
                              .last = newest,
                              .limit = CAR_SCAN_EVENTS_MAX,
                              .descending = true};
}

void car_join_snapshot(struct car_buf *out, const struct car_scan *scan, uint64_t newest) {
    CAR_BUF_LIT(out, "\"events\":");
    car_event_array_ascending(out, scan);
    car_buf_printf(out, ",\"seq\":%llu", (unsigned long long)newest);
}
