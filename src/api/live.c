#include "live.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/blob.h"
#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/lease.h"
#include "carillon/proto/deflate.h"
#include "carillon/runtime/worker.h"

#include "admission.h"
#include "audit.h"
#include "begin.h"
#include "call.h"
#include "client.h"
#include "command.h"
#include "event_array.h"
#include "join.h"
#include "respond.h"
#include "room.h"

static struct car_live *of_session(struct car_session *session) {
    return (struct car_live *)((char *)session - offsetof(struct car_live, session));
}

/* What the feed calls. */

static bool offer(struct car_session *session, struct car_blob *frames) {
    struct car_live *live = of_session(session);
    return !car_ws_is_full(&live->ws) && car_ws_send_frames(&live->ws, frames);
}

static void gap(struct car_session *session, uint64_t from, uint64_t to) {
    struct car_live *live = of_session(session);
    struct car_buf out = CAR_BUF_INIT;
    car_buf_printf(&out, "{\"type\":\"gap\",\"from\":%llu,\"to\":%llu}", (unsigned long long)from,
                   (unsigned long long)to);
    car_ws_send(&live->ws, live->tenant, CAR_WS_TEXT, car_buf_view(&out));
    car_buf_free(&out);
}

static bool too_slow(struct car_session *session, uint64_t from, uint64_t to) {
    (void)from;
    (void)to;
    car_ws_send_away(&of_session(session)->ws, CAR_WS_TRY_LATER, "too slow: fell behind all that is kept");
    return false;
}

static void caught_up(struct car_session *session) {
    struct car_live *live = of_session(session);
    if (live->leaving) {
        car_ws_go_away(&live->ws);
    }
}

static void failed(struct car_session *session) {
    car_ws_close(&of_session(session)->ws, CAR_WS_INTERNAL, "the log cannot be read");
}

static size_t held(struct car_session *session) {
    return car_ws_held(&of_session(session)->ws);
}

static void shed(struct car_session *session) {
    car_ws_shed(&of_session(session)->ws);
}

static struct car_session_peer peer(const struct car_session *session) {
    const struct car_live *live = (const struct car_live *)((const char *)session - offsetof(struct car_live, session));
    return (struct car_session_peer){.client = &live->client, .request_id = live->request_id};
}

static const struct car_session_ops SESSION_OPS = {.offer = offer,
                                                   .gap = gap,
                                                   .too_slow = too_slow,
                                                   .caught_up = caught_up,
                                                   .failed = failed,
                                                   .held = held,
                                                   .shed = shed,
                                                   .peer = peer};

/* What the WebSocket calls. */

static void on_message(struct car_ws *ws, enum car_ws_opcode op, char *data, size_t len) {
    struct car_live *live = (struct car_live *)ws; /* its first member */
    if (op == CAR_WS_TEXT) {
        car_live_command(live, car_span_of(data, len));
    } else {
        car_ws_close(ws, CAR_WS_UNSUPPORTED, "only text is spoken here");
    }
}

static void on_drained(struct car_ws *ws) {
    car_session_resume(&((struct car_live *)ws)->session);
}

/* What was acknowledged before the end is still delivered to whoever reads it in time. */
static void on_leave(struct car_ws *ws) {
    struct car_live *live = (struct car_live *)ws;
    live->leaving = true;
    if (!car_session_is_behind(&live->session)) {
        car_ws_go_away(ws);
    }
}

void car_live_release(struct car_live *live) {
    if (live->ended && live->pending == 0) {
        free(live);
    }
}

static void let_go(struct car_live *live) {
    car_session_detach(&live->session);
    car_lease_drop(&live->lease);
    car_rooms_drop(live->api->rooms, &live->room);
}

static void on_ended(struct car_ws *ws) {
    struct car_live *live = (struct car_live *)ws;
    let_go(live);
    live->ended = true;
    car_live_release(live);
}

static void on_revoked(void *holder) {
    struct car_live *live = holder;
    struct car_subscriber subscriber = car_live_subscriber(live);
    car_audit_subscriber(&subscriber, "websocket", CAR_AUDIT_ENDED, car_span_of(NULL, 0), CAR_REVOKED);
    car_rooms_drop(live->api->rooms, &live->room); /* whoever ignores the close keeps no other out meanwhile */
    car_ws_close(&live->ws, CAR_WS_POLICY, CAR_REVOKED);
}

static const struct car_ws_ops WS_OPS = {
    .message = on_message, .drained = on_drained, .leave = on_leave, .ended = on_ended, .spoken = CAR_SPEAKS_WEBSOCKET};

/* Opening. */

/* A snapshot that is being read, before anything live is sent. */
struct greeting {
    struct car_scan scan; /* first */
    struct car_live *live;
    uint64_t newest; /* what the session is in step with */
};

static void send_snapshot(struct car_live *live, const struct car_scan *scan, uint64_t newest) {
    struct car_buf out = CAR_BUF_INIT;
    CAR_BUF_LIT(&out, "{\"type\":\"snapshot\",");
    car_join_snapshot(&out, scan, newest);
    car_buf_char(&out, '}');
    if (scan->status == CAR_ENOMEM) {
        car_ws_send_away(&live->ws, CAR_WS_TRY_LATER, car_event_array_why(scan));
    } else if (scan->status || out.failed) {
        car_ws_close(&live->ws, CAR_WS_INTERNAL, car_event_array_why(scan));
    } else {
        car_ws_send(&live->ws, live->tenant, CAR_WS_TEXT, car_buf_view(&out));
    }
    car_buf_free(&out);
}

static void on_snapshot(struct car_scan *scan) {
    struct greeting *greeting = (struct greeting *)scan; /* its first member */
    struct car_live *live = greeting->live;
    live->pending--;
    if (live->ended) {
        car_live_release(live);
    } else {
        send_snapshot(live, scan, greeting->newest);
        car_session_start(&live->session, NULL);
    }
    car_scan_free(scan);
    free(greeting);
}

static void start_with_snapshot(struct car_live *live, uint64_t count, uint64_t newest) {
    struct greeting *greeting = calloc(1, sizeof *greeting);
    if (!greeting) {
        car_ws_close(&live->ws, CAR_WS_INTERNAL, "out of memory");
        return;
    }
    car_join_scan(&greeting->scan, live->tenant, live->worker, count, newest);
    greeting->scan.done = on_snapshot;
    greeting->live = live;
    greeting->newest = newest;
    live->pending++;
    car_scan_start(&greeting->scan);
}

static void greet(struct car_live *live, uint64_t newest) {
    struct car_buf out = CAR_BUF_INIT;
    car_buf_char(&out, '{');
    car_join_established(&out, live->api, live->tenant, car_span_of(NULL, 0), newest);
    car_buf_char(&out, '}');
    if (out.failed) {
        car_ws_close(&live->ws, CAR_WS_INTERNAL, "out of memory");
    } else {
        car_ws_send(&live->ws, live->tenant, CAR_WS_TEXT, car_buf_view(&out));
    }
    car_buf_free(&out);
}

static void open_live(struct car_call *call, struct car_live *live, const struct car_join *join) {
    struct car_worker *worker = call->worker;
    struct car_exchange *exchange = call->exchange;
    uint64_t newest = 0;
    live->tenant = call->who.tenant;
    live->worker = worker;
    live->scopes = (uint8_t)call->who.scopes;
    live->certified = exchange->certified;
    live->session.ops = &SESSION_OPS;
    (void)car_client_of(call->api, exchange, call->req, &live->client);
    if (!car_join_attach(call, &live->session, &live->lease, on_revoked, live, &newest)) {
        let_go(live);
        free(live);
        return;
    }
    car_audit_call(call, "websocket", CAR_AUDIT_OK, 101, NULL);
    if (!car_ws_open(&live->ws, exchange, call->req, &WS_OPS)) {
        let_go(live);
        free(live);
        return;
    }
    live->session.wire = live->ws.deflate_bits == CAR_DEFLATE_BITS_MAX ? CAR_WIRE_WS_DEFLATE : CAR_WIRE_WS;
    struct car_span tenant = car_tenant_id(live->tenant);
    car_log_info("tenant %.*s: websocket connection established", (int)tenant.len, tenant.ptr);
    greet(live, newest);
    if (join->has_snapshot) {
        start_with_snapshot(live, join->snapshot, newest);
    } else {
        car_session_start(&live->session, join->has_cursor ? &join->cursor : NULL);
    }
}

void car_live_open(struct car_call *call) {
    struct car_join join;
    const char *why = NULL;
    int status = car_ws_check(call->req, &why);
    if (!status && !car_origin_ok(call->api, call->req)) {
        status = 403;
        why = CAR_ORIGIN_REFUSED;
        car_audit_call(call, "websocket", CAR_AUDIT_REFUSED, status, why);
    }
    if (!status && car_join_read(call, false, &join, &why) != 0) {
        status = 400;
    }
    if (!status && !car_admission_passes(call, join.has_cursor ? &join.cursor : NULL)) {
        return;
    }
    size_t id_size = strlen(call->exchange->request_id) + 1;
    struct car_live *live = status ? NULL : calloc(1, sizeof *live + id_size);
    if (!live) {
        car_respond_problem(call->exchange, status ? status : 503, status ? why : "out of memory", NULL, NULL);
        return;
    }
    live->api = call->api;
    memcpy(live->request_id, call->exchange->request_id, id_size);
    if (!car_room_take_or_refuse(call, "websocket", &live->room)) {
        free(live);
        return;
    }
    open_live(call, live, &join);
}
