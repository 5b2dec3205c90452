#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/buf.h"
#include "carillon/base/log.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/session.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/lease.h"
#include "carillon/net/sse_conn.h"
#include "carillon/proto/sse.h"
#include "carillon/runtime/worker.h"

#include "admission.h"
#include "api_metrics.h"
#include "audit.h"
#include "call.h"
#include "client.h"
#include "command.h"
#include "join.h"
#include "respond.h"
#include "room.h"

/* A subscriber over Server-Sent Events. Belongs to its worker; lives as long as the connection. */
struct stream {
    struct car_sse sse; /* first: the connection's handlers get it */
    struct car_session session;
    const struct car_api *api;
    struct car_address client;
    bool leaving; /* the server goes away, and something is owed first */
    bool ended;
    struct car_lease *lease; /* NULL where a name was enough */
    struct car_room room;
    struct snapshot *snapshot; /* that is being read, before anything live is sent */
    char request_id[];         /* of the handshake, for the audit log; NUL-terminated */
};

struct snapshot {
    struct car_scan scan; /* first */
    struct stream *stream;
    uint64_t newest; /* what the session is in step with */
};

static struct stream *of_session(struct car_session *session) {
    return (struct stream *)((char *)session - offsetof(struct stream, session));
}

static bool offer(struct car_session *session, struct car_blob *events) {
    struct stream *stream = of_session(session);
    return !car_sse_is_full(&stream->sse) && car_sse_send(&stream->sse, events);
}

static void gap(struct car_session *session, uint64_t from, uint64_t to) {
    struct car_buf data = CAR_BUF_INIT;
    struct car_buf out = CAR_BUF_INIT;
    car_buf_printf(&data, "{\"from\":%llu,\"to\":%llu}", (unsigned long long)from, (unsigned long long)to);
    (void)car_sse_event(&out, car_span_of(NULL, 0), CAR_SPAN("gap"), car_buf_view(&data));
    if (!out.failed) {
        car_sse_send_copy(&of_session(session)->sse, car_session_tenant(session), car_buf_view(&out));
    }
    car_buf_free(&data);
    car_buf_free(&out);
}

/* There is no close code to say it with: the stream tells of the gap and goes on. */
static bool too_slow(struct car_session *session, uint64_t from, uint64_t to) {
    gap(session, from, to);
    return true;
}

static void caught_up(struct car_session *session) {
    struct stream *stream = of_session(session);
    if (stream->leaving) {
        car_sse_go_away(&stream->sse);
    }
}

static void failed(struct car_session *session) {
    car_sse_finish(&of_session(session)->sse);
}

static size_t held(struct car_session *session) {
    return car_sse_held(&of_session(session)->sse);
}

static void shed(struct car_session *session) {
    car_sse_shed(&of_session(session)->sse);
}

static struct car_session_peer peer(const struct car_session *session) {
    const struct stream *stream = (const struct stream *)((const char *)session - offsetof(struct stream, session));
    return (struct car_session_peer){.client = &stream->client, .request_id = stream->request_id};
}

static const struct car_session_ops SESSION_OPS = {.offer = offer,
                                                   .gap = gap,
                                                   .too_slow = too_slow,
                                                   .caught_up = caught_up,
                                                   .failed = failed,
                                                   .held = held,
                                                   .shed = shed,
                                                   .peer = peer};

static void on_drained(struct car_sse *sse) {
    car_session_resume(&((struct stream *)sse)->session);
}

static void let_go(struct stream *stream) {
    car_session_detach(&stream->session);
    car_lease_drop(&stream->lease);
    car_rooms_drop(stream->api->rooms, &stream->room);
}

static void on_ended(struct car_sse *sse) {
    struct stream *stream = (struct stream *)sse;
    let_go(stream);
    stream->ended = true;
    if (!stream->snapshot) {
        free(stream);
    }
}

/* What was acknowledged before the end is still delivered to whoever reads it in time. */
static void on_leave(struct car_sse *sse) {
    struct stream *stream = (struct stream *)sse;
    stream->leaving = true;
    if (!car_session_is_behind(&stream->session)) {
        car_sse_go_away(sse);
    }
}

static void on_revoked(void *holder) {
    struct stream *stream = holder;
    const struct car_subscriber subscriber = {.api = stream->api,
                                              .tenant = car_session_tenant(&stream->session),
                                              .name = car_lease_name(stream->lease),
                                              .grant = stream->lease ? stream->lease->grant : NULL,
                                              .client = &stream->client,
                                              .request_id = stream->request_id};
    car_audit_subscriber(&subscriber, "sse", CAR_AUDIT_ENDED, car_span_of(NULL, 0), CAR_REVOKED);
    car_rooms_drop(stream->api->rooms, &stream->room);
    car_sse_dismiss(&stream->sse);
}

static const struct car_sse_ops SSE_OPS = {.drained = on_drained, .leave = on_leave, .ended = on_ended};

static void add(struct car_buf *out, const char *event, struct car_span id, struct car_buf *data) {
    car_buf_char(data, '}');
    (void)car_sse_event(out, id, car_span_cstr(event), car_buf_view(data));
    data->len = 0;
}

/* The first events carry an id where the subscriber is up to date with them, so that one that comes back before the
 * next event misses none. */
static void send_first(struct stream *stream, const char *event, const uint64_t *seq, struct car_buf *data) {
    struct car_buf id = CAR_BUF_INIT;
    struct car_buf out = CAR_BUF_INIT;
    if (seq) {
        car_buf_u64(&id, *seq);
    }
    add(&out, event, car_buf_view(&id), data);
    if (out.failed || data->failed ||
        !car_sse_send_copy(&stream->sse, car_session_tenant(&stream->session), car_buf_view(&out))) {
        car_sse_finish(&stream->sse);
    }
    car_buf_free(&id);
    car_buf_free(&out);
}

static void greet(struct car_call *call, struct stream *stream, bool has_cursor, uint64_t newest) {
    struct car_buf data = CAR_BUF_INIT;
    car_buf_char(&data, '{');
    car_join_established(&data, call->api, call->who.tenant, car_span_of(NULL, 0), newest);
    send_first(stream, "connection_established", has_cursor ? NULL : &newest, &data);
    car_buf_free(&data);
}

static void send_snapshot(struct stream *stream, const struct snapshot *snapshot) {
    struct car_buf data = CAR_BUF_INIT;
    if (snapshot->scan.status) {
        car_sse_finish(&stream->sse);
        return;
    }
    car_buf_char(&data, '{');
    car_join_snapshot(&data, &snapshot->scan, snapshot->newest);
    send_first(stream, "snapshot", &snapshot->newest, &data);
    car_buf_free(&data);
}

static void on_snapshot(struct car_scan *scan) {
    struct snapshot *snapshot = (struct snapshot *)scan; /* its first member */
    struct stream *stream = snapshot->stream;
    stream->snapshot = NULL;
    if (stream->ended) {
        free(stream);
    } else {
        send_snapshot(stream, snapshot);
        car_session_start(&stream->session, NULL);
    }
    car_scan_free(scan);
    free(snapshot);
}

static void start_with_snapshot(struct car_call *call, struct stream *stream, uint64_t count, uint64_t newest) {
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        car_sse_finish(&stream->sse);
        return;
    }
    car_join_scan(&snapshot->scan, call->who.tenant, call->worker, count, newest);
    snapshot->scan.done = on_snapshot;
    snapshot->stream = stream;
    snapshot->newest = newest;
    stream->snapshot = snapshot;
    car_scan_start(&snapshot->scan);
}

static void open_stream(struct car_call *call, struct stream *stream, const struct car_join *join) {
    struct car_exchange *exchange = call->exchange;
    uint64_t newest = 0;
    stream->session.ops = &SESSION_OPS;
    stream->session.wire = CAR_WIRE_SSE;
    (void)car_client_of(call->api, exchange, call->req, &stream->client);
    if (!car_join_attach(call, &stream->session, &stream->lease, on_revoked, stream, &newest)) {
        let_go(stream);
        free(stream);
        return;
    }
    car_audit_call(call, "sse", CAR_AUDIT_OK, 200, NULL);
    if (!car_sse_open(&stream->sse, exchange, &SSE_OPS)) {
        let_go(stream);
        free(stream);
        return;
    }
    struct car_span tenant = car_tenant_id(call->who.tenant);
    car_log_info("tenant %.*s: event stream established", (int)tenant.len, tenant.ptr);
    greet(call, stream, join->has_cursor, newest);
    if (join->has_snapshot) {
        start_with_snapshot(call, stream, join->snapshot, newest);
    } else {
        car_session_start(&stream->session, join->has_cursor ? &join->cursor : NULL);
    }
}

void car_event_stream(struct car_call *call) {
    struct car_join join;
    const char *why = NULL;
    call->exchange->resource = CAR_RESOURCE_STREAM; /* it may have been asked for as a list */
    if (car_join_read(call, true, &join, &why) != 0) {
        car_respond_problem(call->exchange, 400, why, NULL, NULL);
        return;
    }
    if (call->exchange->verb == CAR_HTTP_HEAD) {
        car_respond(call->exchange,
                    &(struct car_response){.status = 200, .type = "text/event-stream", .endless = true});
        return;
    }
    if (!car_admission_passes(call, join.has_cursor ? &join.cursor : NULL)) {
        return;
    }
    size_t id_size = strlen(call->exchange->request_id) + 1;
    struct stream *stream = calloc(1, sizeof *stream + id_size);
    if (!stream) {
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
        return;
    }
    stream->api = call->api;
    memcpy(stream->request_id, call->exchange->request_id, id_size);
    if (!car_room_take_or_refuse(call, "sse", &stream->room)) {
        free(stream);
        return;
    }
    open_stream(call, stream, &join);
}
