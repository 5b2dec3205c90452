#include "carillon/net/http_conn.h"

#include <stdlib.h>

#include "carillon/base/log.h"
#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#include "move.h"
#include "peer.h"

#define SPARES_MAX 64

/* A connection while it speaks HTTP. */
struct http {
    struct car_conn *conn;
    struct car_http_parser *parser;
    struct car_exchange *exchange;       /* being received, or waiting for its answer */
    uint64_t deadline;                   /* for the request's last byte; 0 while none has begun */
    bool whole;                          /* the exchange's request has been handed on */
    bool any;                            /* at least one byte has arrived on this connection */
    bool over;                           /* no further request is read */
    bool shown;                          /* a request has arrived, and the log says from whom */
    bool peer_done;                      /* the peer sends nothing more */
    struct car_conn_peer peer;           /* who is at the other end */
    const char *why;                     /* the application's reason to refuse a request by its headers */
    const struct car_conn_ops *next_ops; /* of the protocol that takes over when the parser has returned */
    void *next_proto;
    struct car_worker *next_worker; /* that takes over when what waits has been written */
    struct car_move *move;          /* what it gets */
};

static struct car_net *net_of(const struct car_conn *conn) {
    return car_net_local(conn->worker)->net;
}

/* Exchanges. */

/* A spare one keeps the memory of its headers. */
static struct car_exchange *exchange_new(struct http *http) {
    struct car_worker *worker = http->conn->worker;
    struct car_net_local *local = car_net_local(worker);
    struct car_exchange *exchange = local->spare_exchanges;
    if (exchange) {
        struct car_buf headers = exchange->headers;
        local->spare_exchanges = exchange->next_spare;
        local->spare_exchange_count--;
        *exchange = (struct car_exchange){.headers = headers};
    } else {
        exchange = calloc(1, sizeof *exchange);
    }
    if (exchange) {
        exchange->conn = http->conn;
        exchange->worker = worker;
    }
    return exchange;
}

static void exchange_free(struct car_exchange *exchange) {
    struct car_net_local *local = car_net_local(exchange->worker);
    if (exchange->headers.failed || local->spare_exchange_count >= SPARES_MAX) {
        car_buf_free(&exchange->headers);
        free(exchange);
        return;
    }
    exchange->headers.len = 0;
    exchange->next_spare = local->spare_exchanges;
    local->spare_exchanges = exchange;
    local->spare_exchange_count++;
}

void car_http_free_spares(struct car_net_local *local) {
    while (local->spare_exchanges) {
        struct car_exchange *exchange = local->spare_exchanges;
        local->spare_exchanges = exchange->next_spare;
        car_buf_free(&exchange->headers);
        free(exchange);
    }
    local->spare_exchange_count = 0;
}

/* The connection goes; whoever has the exchange keeps it. */
static void exchange_orphan(struct http *http) {
    struct car_exchange *exchange = http->exchange;
    http->exchange = NULL;
    if (exchange && (http->whole || exchange->gone) && !exchange->answered) {
        exchange->conn = NULL;
        if (exchange->gone) {
            exchange->gone(exchange);
        }
    } else if (exchange) {
        exchange_free(exchange);
    }
}

static void wait_for_next(struct http *http) {
    struct car_conn *conn = http->conn;
    http->deadline = 0;
    http->whole = false;
    if (http->over || http->peer_done) {
        car_conn_finish(conn);
        return;
    }
    car_conn_wake_in(conn, net_of(conn)->idle_timeout_ms);
    car_conn_continue(conn);
}

/* Ends the exchange. Returns its connection, or NULL where that has gone. */
static struct car_conn *leave_exchange(struct car_exchange *exchange) {
    struct car_conn *conn = exchange->conn;
    exchange->answered = true;
    if (conn) {
        struct http *http = conn->proto;
        http->exchange = NULL;
        conn->owner = exchange->owner;
        http->over = http->over || !exchange->keep_alive;
    }
    exchange_free(exchange);
    return conn;
}

void car_exchange_finish(struct car_exchange *exchange, const void *owner, struct car_span head, struct car_span body) {
    struct car_conn *conn = leave_exchange(exchange);
    if (!conn) {
        return;
    }
    if (!car_conn_write_copy(conn, owner, head) || (body.len && !car_conn_write_copy(conn, owner, body))) {
        car_conn_close(conn);
        return;
    }
    wait_for_next(conn->proto);
}

void car_exchange_abort(struct car_exchange *exchange) {
    struct car_conn *conn = leave_exchange(exchange);
    if (conn) {
        car_conn_close(conn);
    }
}

struct car_conn *car_exchange_switch(struct car_exchange *exchange, const struct car_conn_ops *ops, void *proto) {
    struct car_conn *conn = leave_exchange(exchange);
    if (conn) {
        struct http *http = conn->proto;
        http->next_ops = ops;
        http->next_proto = proto;
    }
    return conn;
}

bool car_exchange_move(struct car_exchange *exchange, const struct car_http_request *req, struct car_worker *to) {
    struct car_move *move = to != exchange->worker && !exchange->conn->turned_away ? car_move_new() : NULL;
    if (!move) {
        return false;
    }
    struct http *http = exchange->conn->proto;
    move->peer_known = http->peer.known;
    move->peer = http->peer.address;
    car_http_head_write(&move->input, req);
    if (move->input.failed) {
        car_move_free(&move);
        return false;
    }
    (void)leave_exchange(exchange);
    http->over = false; /* the request says there once more whether it is the last, */
    http->deadline = 0; /* and its time runs there */
    http->next_worker = to;
    http->move = move;
    return true;
}

int car_exchange_peer(const struct car_exchange *exchange, struct car_address *out) {
    struct car_conn *conn = exchange->conn;
    if (!conn) {
        return CAR_ECLOSED;
    }
    struct http *http = conn->proto;
    return car_conn_peer_get(&http->peer, conn, out);
}

/* What the parser calls. */

/* Once a connection, with its first request. */
static void show_peer(struct http *http) {
    struct car_address peer;
    if (!http->shown && car_log_wants(CAR_LOG_DEBUG) && car_conn_peer_get(&http->peer, http->conn, &peer) == CAR_OK) {
        char text[CAR_ADDRESS_TEXT];
        (void)car_address_write(&peer, text);
        car_log_debug("connection from %s", text);
    }
    http->shown = true;
}

static int on_headers(void *user, const struct car_http_request *req) {
    struct http *http = user;
    struct car_net *net = net_of(http->conn);
    struct car_exchange *exchange = exchange_new(http);
    if (!exchange) {
        return 503;
    }
    exchange->verb = req->verb;
    exchange->http10 = req->minor == 0;
    exchange->draining = atomic_load_explicit(&net->draining, memory_order_relaxed);
    exchange->keep_alive = req->keep_alive && !exchange->draining;
    http->exchange = exchange;
    http->why = NULL;
    show_peer(http);
    int status = net->app->begin ? net->app->begin(net->app_data, exchange, req, &http->why) : 0;
    if (http->move) {
        return CAR_HTTP_LEAVE;
    }
    if (http->conn->turned_away) {
        http->why = "too many connections";
        return 503;
    }
    if (req->expect_continue && status) {
        return status;
    }
    if (req->expect_continue) {
        car_conn_write_copy(http->conn, NULL, CAR_SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    return 0;
}

static bool on_request(void *user, const struct car_http_request *req) {
    struct http *http = user;
    struct car_conn *conn = http->conn;
    struct car_net *net = net_of(conn);
    http->whole = true;
    http->deadline = 0;
    net->app->request(net->app_data, http->exchange, req);
    return !http->exchange && !http->over && !http->next_ops && !conn->closing &&
           car_conn_pending(conn) <= CAR_CONN_HIGH_WATER;
}

static const struct car_http_callbacks CALLBACKS = {.on_headers = on_headers, .on_request = on_request};

static void refuse(struct http *http, int status, const char *why) {
    struct car_net *net = net_of(http->conn);
    if (!http->exchange) {
        http->exchange = exchange_new(http);
    }
    if (!http->exchange) {
        car_conn_close(http->conn);
        return;
    }
    if (http->exchange->gone) {
        http->exchange->gone(http->exchange);
        http->exchange->gone = NULL;
    }
    http->exchange->keep_alive = false;
    http->whole = true;
    net->app->refuse(net->app_data, http->exchange, status, why);
}

/* What the connection calls. */

static void http_free(struct http *http) {
    car_conn_peer_free(&http->peer);
    car_move_free(&http->move);
    car_http_parser_free(&http->parser);
    free(http);
}

/* The parser has returned, so the connection can change hands. */
static size_t change_hands(struct http *http, char *bytes, size_t len, size_t consumed) {
    struct car_conn *conn = http->conn;
    conn->ops = http->next_ops;
    conn->proto = http->next_proto;
    http_free(http);
    if (conn->closing || consumed == len) {
        return len;
    }
    return consumed + conn->ops->input(conn, bytes + consumed, len - consumed);
}

/* What waited has been written, so the connection can leave. */
static void depart(struct http *http) {
    struct car_conn *conn = http->conn;
    struct car_move *move = http->move;
    if (conn->held) {
        car_buf_span(&move->input, car_buf_view(conn->held));
    }
    if (move->input.failed) {
        car_conn_close(conn);
        return;
    }
    http->move = NULL;
    car_move_post(move, car_conn_release(conn), conn->worker, http->next_worker);
}

/* The parser has returned, so the connection can go, and what is left of the input with it. */
static size_t begin_to_move(struct http *http, const char *rest, size_t len) {
    car_buf_put(&http->move->input, rest, len);
    if (!car_conn_await_drained(http->conn)) {
        depart(http);
    }
    return len;
}

/* A request has begun and is not whole: its time runs, from its first byte on. */
static void watch_arrival(struct http *http) {
    struct car_conn *conn = http->conn;
    if (!http->exchange && car_http_parser_stage(http->parser) == CAR_HTTP_IDLE) {
        return;
    }
    if (!http->deadline) {
        uint32_t timeout = net_of(conn)->request_timeout_ms;
        http->deadline = car_conn_now(conn) + timeout;
        car_conn_wake_in(conn, timeout);
    }
}

static size_t take_requests(struct http *http, char *bytes, size_t len) {
    struct car_conn *conn = http->conn;
    http->any = true;
    size_t consumed = 0;
    const char *why = NULL;
    int status = car_http_parser_feed(http->parser, bytes, len, &consumed, &why);
    if (http->move && !conn->closing) {
        return consumed + begin_to_move(http, bytes + consumed, len - consumed);
    }
    if (http->next_ops) {
        return change_hands(http, bytes, len, consumed); /* also where it is closing: `ended` is the new protocol's */
    }
    if (conn->closing) {
        return len;
    }
    if (status) {
        refuse(http, status, http->why ? http->why : why);
        return len;
    }
    if (!http->whole) {
        watch_arrival(http);
    }
    return consumed;
}

static size_t on_input(struct car_conn *conn, char *bytes, size_t len) {
    struct http *http = conn->proto;
    size_t header = 0;
    if (http->over) {
        return len;
    }
    if (http->whole || http->move) {
        return 0; /* an answer is due first */
    }
    if (http->peer.header && car_conn_peer_feed(&http->peer, bytes, len, &header) != CAR_OK) {
        car_conn_close(conn); /* who does not say who it is gets no answer */
        return len;
    }
    return header == len ? len : header + take_requests(http, bytes + header, len - header);
}

static void on_eof(struct car_conn *conn) {
    struct http *http = conn->proto;
    http->peer_done = true;
    if (http->move) {
        return; /* it shows again where the connection goes */
    }
    if (!http->whole) {
        /* Nothing more can become a request; what was answered is still to be written. */
        car_conn_finish(conn);
    } else if (http->exchange && http->exchange->gone) {
        car_conn_close(conn); /* an answer that may take long is for who stays to hear it */
    }
}

static void on_wake(struct car_conn *conn) {
    struct http *http = conn->proto;
    struct car_net *net = net_of(conn);
    if (car_conn_is_stuck(conn)) {
        car_conn_close(conn);
    } else if (http->whole || http->move || car_conn_pending(conn) > 0) {
        car_conn_wake_in(conn, net->idle_timeout_ms); /* an answer is ours to give, or on its way */
    } else if (http->deadline) {
        refuse(http, 408, "the request did not arrive in time");
    } else {
        car_conn_finish(conn);
    }
}

static void on_drained(struct car_conn *conn) {
    struct http *http = conn->proto;
    if (http->move) {
        depart(http);
    }
}

static void on_leave(struct car_conn *conn) {
    struct http *http = conn->proto;
    if (http->exchange) {
        http->exchange->keep_alive = false;
    } else if (!http->deadline) {
        /* A request may be on its way to us: a moment for it, then the end. */
        car_conn_wake_in(conn, 500);
    }
}

static void on_ended(struct car_conn *conn) {
    struct http *http = conn->proto;
    if (http) {
        exchange_orphan(http);
        http_free(http);
    }
}

static const struct car_conn_ops OPS = {
    .input = on_input,
    .eof = on_eof,
    .drained = on_drained,
    .wake = on_wake,
    .leave = on_leave,
    .ended = on_ended,
};

/* NULL, and the socket is closed and counted no longer, where memory ran out. */
static struct car_conn *open_conn(struct car_worker *worker, int fd, bool over_limit) {
    struct car_net *net = car_net_local(worker)->net;
    struct car_conn *conn = car_conn_open(worker, fd, &OPS);
    if (!conn) {
        atomic_fetch_sub_explicit(&worker->turned_away, over_limit, memory_order_relaxed);
        atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_release);
        return NULL;
    }
    conn->turned_away = over_limit;
    struct http *http = calloc(1, sizeof *http);
    struct car_http_limits limits = {.body_bytes = net->max_body};
    conn->proto = http;
    if (http) {
        http->conn = conn;
        http->parser = car_http_parser_new(&limits, &CALLBACKS, http);
    }
    if (!http || !http->parser) {
        car_conn_close(conn);
        return NULL;
    }
    car_conn_wake_in(conn, net->request_timeout_ms);
    return conn;
}

void car_http_conn_open(struct car_worker *worker, int fd, bool over_limit) {
    struct car_conn *conn = open_conn(worker, fd, over_limit);
    if (!conn) {
        return;
    }
    struct http *http = conn->proto;
    if (car_conn_peer_begin(&http->peer, conn) != CAR_OK) {
        car_conn_close(conn);
        return;
    }
    car_conn_begin(conn);
}

void car_http_conn_take(struct car_worker *worker, int fd, const struct car_address *peer, struct car_buf *input) {
    struct car_conn *conn = open_conn(worker, fd, false);
    if (!conn) {
        return;
    }
    struct http *http = conn->proto;
    http->shown = true;
    if (peer) {
        http->peer.known = true;
        http->peer.address = *peer;
    }
    car_conn_begin_with(conn, input);
}
