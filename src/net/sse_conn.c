#include "carillon/net/sse_conn.h"

#include <string.h>

#include "carillon/base/blob.h"
#include "carillon/base/buf.h"
#include "carillon/net/boundary.h"
#include "carillon/net/conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net.h"
#include "carillon/net/net_metrics.h"
#include "carillon/proto/http.h"
#include "carillon/proto/sse.h"

static struct car_sse *sse_of(const struct car_conn *conn) {
    return conn->proto;
}

static struct car_net *net_of(const struct car_sse *sse) {
    return car_net_local(sse->conn->worker)->net;
}

bool car_sse_send(struct car_sse *sse, struct car_blob *events) {
    return car_conn_write(sse->conn, events);
}

bool car_sse_send_copy(struct car_sse *sse, const void *owner, struct car_span events) {
    return car_conn_write_copy(sse->conn, owner, events);
}

bool car_sse_is_full(struct car_sse *sse) {
    return car_conn_is_full(sse->conn);
}

void car_sse_finish(struct car_sse *sse) {
    car_conn_finish(sse->conn);
}

void car_sse_dismiss(struct car_sse *sse) {
    car_conn_finish_within(sse->conn, CAR_CONN_DISMISS_MS);
}

void car_sse_go_away(struct car_sse *sse) {
    struct car_buf *out = car_net_scratch(sse->conn->worker);
    car_sse_retry(out, car_net_retry_ms());
    if (!out->failed) {
        car_conn_write_copy(sse->conn, NULL, car_buf_view(out));
    }
    car_conn_finish(sse->conn);
}

size_t car_sse_held(const struct car_sse *sse) {
    return car_conn_held(sse->conn);
}

/* How much ends the event that has been begun. */
static size_t event_rest(const char *events, size_t len, size_t written) {
    const char *end = written > 0 ? memmem(events + written, len - written, "\n\n", 2) : NULL;
    return end ? (size_t)(end + 2 - (events + written)) : 0;
}

void car_sse_shed(struct car_sse *sse) {
    size_t written;
    const struct car_blob *begun = car_conn_begun(sse->conn, &written);
    if (!begun) {
        car_conn_close(sse->conn);
        return;
    }
    car_conn_cut(sse->conn, event_rest(begun->data, begun->len, written));
    car_sse_go_away(sse);
    car_conn_finish_soon(sse->conn);
}

/* A client has nothing to say on a stream. */
static size_t on_input(struct car_conn *conn, char *bytes, size_t len) {
    (void)conn;
    (void)bytes;
    return len;
}

static void on_eof(struct car_conn *conn) {
    car_conn_close(conn);
}

static void on_drained(struct car_conn *conn) {
    struct car_sse *sse = sse_of(conn);
    sse->ops->drained(sse);
}

static void on_wake(struct car_conn *conn) {
    struct car_sse *sse = sse_of(conn);
    uint32_t keepalive = net_of(sse)->sse_keepalive_ms;
    if (!car_conn_is_blocked(conn)) {
        if (car_conn_write_copy(conn, NULL, CAR_SPAN(":\n\n"))) {
            car_conn_wake_in(conn, keepalive);
        }
    } else if (car_conn_is_stuck(conn)) {
        car_conn_close(conn);
    } else {
        /* A comment would only queue up behind what it reads. */
        car_conn_wake_in(conn, (uint64_t)net_of(sse)->ping_interval_ms + net_of(sse)->ping_timeout_ms);
    }
}

static void on_leave(struct car_conn *conn) {
    struct car_sse *sse = sse_of(conn);
    sse->ops->leave(sse);
}

static void on_ended(struct car_conn *conn) {
    car_net_speaks(car_net_local(conn->worker)->metrics, CAR_SPEAKS_SSE, CAR_SPEAKS_HTTP);
    struct car_sse *sse = sse_of(conn);
    sse->ops->ended(sse);
}

static const struct car_conn_ops OPS = {
    .input = on_input,
    .eof = on_eof,
    .drained = on_drained,
    .wake = on_wake,
    .leave = on_leave,
    .ended = on_ended,
};

bool car_sse_open(struct car_sse *sse, struct car_exchange *exchange, const struct car_sse_ops *ops) {
    struct car_buf *out = car_net_scratch(exchange->worker);
    car_http_status_line(out, 200);
    CAR_BUF_LIT(out, "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
                     "Connection: close\r\n");
    car_buf_span(out, car_buf_view(&exchange->headers));
    CAR_BUF_LIT(out, "\r\n");
    car_sse_retry(out, car_net_retry_ms()); /* for when the connection breaks, as those of others may, too */
    if (out->failed) {
        car_exchange_abort(exchange);
        return false;
    }
    sse->ops = ops;
    car_exchange_tell(exchange, 200);
    sse->conn = car_exchange_switch(exchange, &OPS, sse);
    if (sse->conn) {
        car_net_speaks(car_net_local(sse->conn->worker)->metrics, CAR_SPEAKS_HTTP, CAR_SPEAKS_SSE);
        car_conn_write_copy(sse->conn, NULL, car_buf_view(out));
        car_conn_wake_in(sse->conn, net_of(sse)->sse_keepalive_ms);
    }
    return sse->conn != NULL;
}
