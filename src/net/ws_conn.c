#include "carillon/net/ws_conn.h"

#include <stdio.h>

#include "carillon/base/blob.h"
#include "carillon/base/buf.h"
#include "carillon/net/boundary.h"
#include "carillon/net/conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net.h"
#include "carillon/proto/deflate.h"
#include "carillon/proto/http.h"

#include "hoard.h"

/* For the peer's answer to a close frame. */
#define CLOSE_WAIT_MS 2000

/* Below this, compression without context saves less than it costs. */
#define DEFLATE_MIN 512

static struct car_ws *ws_of(const struct car_conn *conn) {
    return conn->proto;
}

static struct car_net *net_of(const struct car_ws *ws) {
    return car_net_local(ws->conn->worker)->net;
}

/* Sending. */

bool car_ws_send_frames(struct car_ws *ws, struct car_blob *frames) {
    return !ws->closing && car_conn_write(ws->conn, frames);
}

static bool send_frame(struct car_ws *ws, const void *owner, enum car_ws_opcode op, bool rsv1,
                       struct car_span payload) {
    char head[CAR_WS_HEADER_MAX];
    size_t len = car_ws_header_write(head, op, true, rsv1, payload.len);
    return car_conn_write_copy(ws->conn, owner, car_span_of(head, len)) &&
           (payload.len == 0 || car_conn_write_copy(ws->conn, owner, payload));
}

/* Compressed, where that pays. */
static bool send_deflated(struct car_ws *ws, const void *owner, enum car_ws_opcode op, struct car_span payload) {
    struct car_deflater *deflater = car_net_local(ws->conn->worker)->deflater;
    struct car_buf out = CAR_BUF_INIT;
    bool pays = car_deflate(deflater, ws->deflate_bits, payload, &out) == 0 && out.len < payload.len;
    bool sent = send_frame(ws, owner, op, pays, pays ? car_buf_view(&out) : payload);
    car_buf_free(&out);
    return sent;
}

bool car_ws_send(struct car_ws *ws, const void *owner, enum car_ws_opcode op, struct car_span payload) {
    if (ws->closing) {
        return false;
    }
    if (ws->deflate_bits && payload.len >= DEFLATE_MIN) {
        return send_deflated(ws, owner, op, payload);
    }
    return send_frame(ws, owner, op, false, payload);
}

bool car_ws_is_full(struct car_ws *ws) {
    return car_conn_is_full(ws->conn);
}

bool car_ws_is_blocked(const struct car_ws *ws) {
    return car_conn_is_blocked(ws->conn);
}

bool car_ws_is_stuck(struct car_ws *ws) {
    return car_conn_is_stuck(ws->conn);
}

void car_ws_wake_in(struct car_ws *ws, uint64_t ms) {
    car_conn_wake_in(ws->conn, ms);
}

void car_ws_limit(struct car_ws *ws, size_t bytes) {
    car_ws_parser_init(&ws->parser, bytes, ws->deflate_bits != 0);
}

void car_ws_belong(struct car_ws *ws, const void *owner) {
    car_conn_belong(ws->conn, owner);
}

static bool send_close(struct car_ws *ws, unsigned code, struct car_span reason) {
    if (ws->closing) {
        return false;
    }
    char bytes[CAR_WS_CLOSE_MAX];
    ws->closing = true;
    return car_conn_write_copy(ws->conn, NULL, car_span_of(bytes, car_ws_close_write(bytes, code, reason)));
}

void car_ws_close(struct car_ws *ws, unsigned code, const char *reason) {
    if (send_close(ws, code, car_span_cstr(reason))) {
        car_conn_wake_in(ws->conn, CLOSE_WAIT_MS);
    }
    if (code == CAR_WS_POLICY) {
        car_conn_finish_within(ws->conn, CAR_CONN_DISMISS_MS);
    }
}

void car_ws_send_away(struct car_ws *ws, unsigned code, const char *why) {
    char reason[CAR_WS_REASON_MAX];
    snprintf(reason, sizeof reason, "%s; retry in %u ms", why, car_net_retry_ms());
    car_ws_close(ws, code, reason);
}

void car_ws_go_away(struct car_ws *ws) {
    car_ws_send_away(ws, CAR_WS_GOING_AWAY, "server going away");
}

size_t car_ws_held(const struct car_ws *ws) {
    return car_conn_held(ws->conn);
}

void car_ws_shed(struct car_ws *ws) {
    char reason[CAR_WS_REASON_MAX];
    size_t written;
    const struct car_blob *begun = car_conn_begun(ws->conn, &written);
    if (!begun) {
        car_conn_close(ws->conn); /* an answer of its own has been begun: nobody knows where its frame ends */
        return;
    }
    car_conn_cut(ws->conn, car_ws_frame_rest(begun->data, begun->len, written));
    snprintf(reason, sizeof reason, "out of memory for this tenant; retry in %u ms", car_net_retry_ms());
    send_close(ws, CAR_WS_TRY_LATER, car_span_cstr(reason));
    car_conn_finish_soon(ws->conn);
}

/* The peer broke the protocol: it is told, and the connection ends without waiting for its answer. */
static void fail(struct car_ws *ws, unsigned code, const char *why) {
    send_close(ws, code, car_span_cstr(why));
    car_conn_finish(ws->conn);
}

/* What the parser calls. */

static void on_message(void *user, enum car_ws_opcode op, char *data, size_t len) {
    struct car_ws *ws = user;
    if (ws->closing) {
        return;
    }
    if (ws->conn->hoard) {
        car_hoard_drop(car_net_local(ws->conn->worker), &ws->conn->hoard); /* it is not to count twice */
    }
    ws->ops->message(ws, op, data, len);
    if (ws->conn->closing || car_conn_pending(ws->conn) > CAR_CONN_HIGH_WATER) {
        car_ws_parser_stop(&ws->parser);
    }
}

static void on_ping(void *user, const char *data, size_t len) {
    struct car_ws *ws = user;
    if (ws->closing) {
        return;
    }
    send_frame(ws, NULL, CAR_WS_PONG, false, car_span_of(data, len));
    if (car_conn_pending(ws->conn) > CAR_CONN_HIGH_WATER) {
        car_ws_parser_stop(&ws->parser);
    }
}

static void on_pong(void *user, const char *data, size_t len) {
    (void)user;
    (void)data;
    (void)len;
}

static void on_close(void *user, unsigned code, struct car_span reason) {
    struct car_ws *ws = user;
    (void)reason;
    send_close(ws, code, car_span_of(NULL, 0));
    car_conn_finish(ws->conn);
}

static const struct car_ws_callbacks CALLBACKS = {
    .on_message = on_message,
    .on_ping = on_ping,
    .on_pong = on_pong,
    .on_close = on_close,
};

/* What the connection calls. */

static size_t on_input(struct car_conn *conn, char *bytes, size_t len) {
    struct car_ws *ws = ws_of(conn);
    if (ws->awaiting_pong) {
        ws->awaiting_pong = false; /* whatever it says, it is alive */
        car_conn_wake_in(conn, net_of(ws)->ping_interval_ms);
    }
    size_t consumed = 0;
    const char *why = NULL;
    unsigned code = car_ws_parser_feed(&ws->parser, bytes, len, car_net_local(conn->worker)->inflater, &CALLBACKS, ws,
                                       &consumed, &why);
    if (code && !conn->closing) {
        fail(ws, code, why);
    }
    if (car_ws_parser_kept(&ws->parser) >= CAR_HOARD_MIN) {
        car_hoard_look_at(conn);
    }
    return consumed; /* less than len where what is to be written is too much: the rest comes again when it has gone */
}

static void on_eof(struct car_conn *conn) {
    car_conn_close(conn);
}

static void on_drained(struct car_conn *conn) {
    struct car_ws *ws = ws_of(conn);
    if (!ws->closing) {
        ws->ops->drained(ws);
    }
}

static void on_wake(struct car_conn *conn) {
    struct car_ws *ws = ws_of(conn);
    if (ws->closing) {
        car_conn_finish(conn);
        return;
    }
    if (ws->ops->wake) {
        ws->ops->wake(ws);
        return;
    }
    if (car_conn_is_blocked(conn) && !car_conn_is_stuck(conn)) {
        /* It reads, so it is alive; a ping would only queue up behind what it reads. */
        ws->awaiting_pong = false;
        car_conn_wake_in(conn, (uint64_t)net_of(ws)->ping_interval_ms + net_of(ws)->ping_timeout_ms);
        return;
    }
    if (car_conn_is_blocked(conn) || ws->awaiting_pong) {
        car_conn_close(conn);
        return;
    }
    ws->awaiting_pong = true;
    if (send_frame(ws, NULL, CAR_WS_PING, false, car_span_of("", 0))) {
        car_conn_wake_in(conn, net_of(ws)->ping_timeout_ms);
    }
}

static void on_leave(struct car_conn *conn) {
    struct car_ws *ws = ws_of(conn);
    if (ws->ops->leave) {
        ws->ops->leave(ws);
    } else {
        car_ws_go_away(ws);
    }
}

/* What it does not read is its session's to answer for. */
static void keeps(const struct car_conn *conn, struct car_keeping *keeping) {
    keeping->input += car_ws_parser_kept(&ws_of(conn)->parser);
}

static void on_shed(struct car_conn *conn) {
    struct car_ws *ws = ws_of(conn);
    bool fits = car_hoard_fits(conn);
    car_ws_parser_free(&ws->parser);
    if (ws->closing) {
        car_conn_close(conn);
    } else if (!fits) {
        fail(ws, CAR_WS_TOO_BIG, "a message that is more than all the memory that the tenant may use");
    } else {
        car_ws_shed(ws);
    }
}

static void on_ended(struct car_conn *conn) {
    struct car_ws *ws = ws_of(conn);
    car_net_speaks(car_net_local(conn->worker)->metrics, ws->ops->spoken, CAR_SPEAKS_HTTP);
    car_ws_parser_free(&ws->parser);
    ws->ops->ended(ws);
}

static const struct car_conn_ops OPS = {
    .input = on_input,
    .eof = on_eof,
    .drained = on_drained,
    .wake = on_wake,
    .leave = on_leave,
    .keeps = keeps,
    .shed = on_shed,
    .ended = on_ended,
};

/* The handshake. */

/* All lines of that header as one list. */
static void join_lines(struct car_buf *out, const struct car_http_request *req, const char *name) {
    struct car_span wanted = car_span_cstr(name);
    for (size_t i = 0; i < req->header_count; i++) {
        if (car_span_ieq(req->headers[i].name, wanted)) {
            if (out->len) {
                car_buf_char(out, ',');
            }
            car_buf_span(out, req->headers[i].value);
        }
    }
}

/* CAR_EINVAL where what is offered is malformed (RFC 6455, section 9.1). */
static int negotiate(const struct car_http_request *req, struct car_pmd_params *pmd) {
    struct car_buf offers = CAR_BUF_INIT;
    join_lines(&offers, req, "Sec-WebSocket-Extensions");
    int err = car_ws_negotiate(car_buf_view(&offers), pmd);
    car_buf_free(&offers);
    return err;
}

int car_ws_check(const struct car_http_request *req, const char **why) {
    struct car_pmd_params pmd;
    size_t keys = 0;
    size_t versions = 0;
    struct car_span key = car_http_header_get(req, "Sec-WebSocket-Key", &keys);
    struct car_span version = car_http_header_get(req, "Sec-WebSocket-Version", &versions);
    if (!req->upgrade) {
        *why = "this is a WebSocket: a GET with Upgrade: websocket and Connection: Upgrade is expected";
        return versions || keys ? 400 : 426;
    }
    if (versions != 1 || !car_span_eq(version, CAR_SPAN("13"))) {
        *why = "Sec-WebSocket-Version must be 13";
        return versions > 1 ? 400 : 426;
    }
    if (keys != 1 || !car_ws_key_valid(key)) {
        *why = "Sec-WebSocket-Key must be base64 of 16 bytes, once";
        return 400;
    }
    if (req->body.len) {
        *why = "a WebSocket handshake has no body";
        return 400;
    }
    if (negotiate(req, &pmd) != 0) {
        *why = "Sec-WebSocket-Extensions is malformed";
        return 400;
    }
    return 0;
}

/* The answer that accepts the handshake, into the worker's scratch buffer. */
static struct car_buf *answer(const struct car_exchange *exchange, const struct car_http_request *req,
                              struct car_pmd_params *pmd) {
    (void)negotiate(req, pmd); /* car_ws_check has found it sound */
    char accept[CAR_WS_ACCEPT_LEN];
    car_ws_accept(car_http_header_get(req, "Sec-WebSocket-Key", NULL), accept);
    struct car_buf *out = car_net_scratch(exchange->worker);
    car_http_status_line(out, 101);
    CAR_BUF_LIT(out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    car_buf_put(out, accept, sizeof accept);
    CAR_BUF_LIT(out, "\r\n");
    if (pmd->on) {
        CAR_BUF_LIT(out, "Sec-WebSocket-Extensions: ");
        car_ws_extension_write(pmd, out);
        CAR_BUF_LIT(out, "\r\n");
    }
    car_buf_span(out, car_buf_view(&exchange->headers));
    CAR_BUF_LIT(out, "\r\n");
    return out;
}

bool car_ws_open(struct car_ws *ws, struct car_exchange *exchange, const struct car_http_request *req,
                 const struct car_ws_ops *ops) {
    struct car_pmd_params pmd = {0};
    struct car_buf *out = answer(exchange, req, &pmd);
    if (out->failed) {
        car_exchange_abort(exchange);
        return false;
    }
    car_exchange_tell(exchange, 101);
    ws->conn = car_exchange_switch(exchange, &OPS, ws);
    if (!ws->conn) {
        return false;
    }
    ws->ops = ops;
    car_net_speaks(car_net_local(ws->conn->worker)->metrics, CAR_SPEAKS_HTTP, ops->spoken);
    ws->deflate_bits = pmd.on ? (uint8_t)pmd.server_bits : 0;
    car_ws_parser_init(&ws->parser, net_of(ws)->max_body, pmd.on);
    car_conn_write_copy(ws->conn, NULL, car_buf_view(out));
    if (!ops->wake) {
        car_conn_wake_in(ws->conn, net_of(ws)->ping_interval_ms);
    }
    return true;
}
