#include "carillon/net/http_conn.h"

#include <stdlib.h>

#include "carillon/base/log.h"
#include "carillon/net/boundary.h"
#include "carillon/net/conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net.h"
#include "carillon/net/net_metrics.h"
#include "carillon/runtime/worker.h"

#include "hoard.h"
#include "http_state.h"
#include "move.h"
#include "tls.h"

#define MOMENT_MS 500 /* at the end, for what is on its way to us */

#define TOO_LATE "the request did not arrive in time"

static struct car_net *net_of(const struct car_conn *conn) {
    return car_net_local(conn->worker)->net;
}

void car_http_conn_next(struct car_http_conn *http) {
    struct car_conn *conn = http->conn;
    http->incoming.deadline = 0;
    http->whole = false;
    if (http->over || http->peer_done) {
        car_conn_finish(conn);
        return;
    }
    car_conn_wake_in(conn, net_of(conn)->idle_timeout_ms);
    car_conn_continue(conn);
}

/* What the parser calls. */

/* Once a connection, with its first request. */
static void show_peer(struct car_http_conn *http) {
    struct car_address peer;
    if (!http->shown && car_log_wants(CAR_LOG_DEBUG) && car_conn_peer_get(&http->peer, http->conn, &peer) == CAR_OK) {
        char text[CAR_ADDRESS_TEXT];
        (void)car_address_write(&peer, text);
        car_log_debug("connection from %s", text);
    }
    http->shown = true;
}

/* It is one of those that may be served, and no longer one to be told that it may not. false where there is no room. */
static bool take_in(struct car_conn *conn) {
    const struct car_net *net = net_of(conn);
    uint64_t served = 0;
    atomic_fetch_sub_explicit(&conn->worker->turned_away, 1, memory_order_relaxed);
    for (unsigned i = 0; i < net->worker_count; i++) {
        unsigned turned_away = atomic_load_explicit(&net->workers[i]->turned_away, memory_order_relaxed);
        unsigned all = atomic_load_explicit(&net->workers[i]->connections, memory_order_relaxed);
        served += all > turned_away ? all - turned_away : 0;
    }
    bool room = net->max_connections == 0 || served <= net->max_connections;
    atomic_fetch_add_explicit(&conn->worker->turned_away, !room, memory_order_relaxed);
    conn->turned_away = !room;
    return room;
}

/* While memory is short, who asks how the server is is answered, and newcomers of whoever uses little of it are let in.
 */
static bool is_let_in(struct car_http_conn *http, const struct car_http_request *req) {
    struct car_conn *conn = http->conn;
    struct car_net *net = net_of(conn);
    if (!atomic_load_explicit(&net->short_of_memory, memory_order_relaxed)) {
        return false;
    }
    if (net->app->always && net->app->always(net->app_data, req)) {
        http->exchange->keep_alive = false;
        return true;
    }
    bool asks = net->owners && net->owners->modest;
    const void *owner = asks ? car_incoming_whose(&http->incoming, conn, http->exchange, req) : NULL;
    if (owner && net->owners->modest(conn->worker, owner) && take_in(conn)) {
        return true;
    }
    car_cell_add(&car_net_local(conn->worker)->metrics->refused, 1);
    return false;
}

static int on_headers(void *user, const struct car_http_request *req) {
    struct car_http_conn *http = user;
    struct car_net *net = net_of(http->conn);
    struct car_exchange *exchange = car_exchange_new(http);
    if (!exchange) {
        return 503;
    }
    exchange->verb = req->verb;
    exchange->http10 = req->minor == 0;
    exchange->draining = atomic_load_explicit(&net->draining, memory_order_relaxed);
    exchange->first = !http->shown;
    exchange->keep_alive = req->keep_alive; /* and while the server does not go away (car_respond) */
    http->exchange = exchange;
    car_incoming_head(&http->incoming);
    http->why = NULL;
    show_peer(http);
    bool refused = http->conn->turned_away && !is_let_in(http, req); /* before it may go over to another worker */
    int status = net->app->begin ? net->app->begin(net->app_data, exchange, req, &http->why) : 0;
    if (http->move) {
        return CAR_HTTP_LEAVE;
    }
    if (refused) {
        http->why = CAR_HTTP_FULL;
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
    struct car_http_conn *http = user;
    struct car_conn *conn = http->conn;
    struct car_net *net = net_of(conn);
    http->whole = true;
    car_incoming_whole(&http->incoming, conn);
    net->app->request(net->app_data, http->exchange, req);
    return !http->exchange && !http->over && !http->next_ops && !conn->closing &&
           car_conn_pending(conn) <= CAR_CONN_HIGH_WATER;
}

static const struct car_http_callbacks CALLBACKS = {.on_headers = on_headers, .on_request = on_request};

static void refuse(struct car_http_conn *http, int status, const char *why) {
    struct car_net *net = net_of(http->conn);
    if (!http->exchange) {
        http->exchange = car_exchange_new(http);
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

static void http_free(struct car_http_conn *http) {
    car_conn_peer_free(&http->peer);
    car_move_free(&http->move);
    car_incoming_free(&http->incoming);
    free(http);
}

/* The parser has returned, so the connection can change hands. */
static size_t change_hands(struct car_http_conn *http, char *bytes, size_t len, size_t consumed) {
    struct car_conn *conn = http->conn;
    conn->ops = http->next_ops;
    conn->proto = http->next_proto;
    if (atomic_load_explicit(&net_of(conn)->draining, memory_order_relaxed)) {
        car_conn_list(conn, &car_net_local(conn->worker)->conns); /* it may have been told as a request */
    }
    http_free(http);
    if (conn->closing || consumed == len) {
        return len;
    }
    return consumed + conn->ops->input(conn, bytes + consumed, len - consumed);
}

/* The parser has returned, so the connection can go, and what is left of the input with it. */
static size_t begin_to_move(struct car_http_conn *http, const char *rest, size_t len) {
    car_buf_put(&http->move->input, rest, len);
    if (!car_conn_await_drained(http->conn)) {
        car_move_depart(&http->move, http->conn);
    }
    return len;
}

static size_t take_requests(struct car_http_conn *http, char *bytes, size_t len) {
    struct car_conn *conn = http->conn;
    size_t consumed = 0;
    const char *why = NULL;
    int status = car_http_parser_feed(http->incoming.parser, bytes, len, &consumed, &why);
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
        car_incoming_wait(&http->incoming, conn, http->exchange);
    }
    return consumed;
}

/* Whether the connection speaks TLS, which it does from here on. */
static bool secure(struct car_conn *conn, const char *bytes, size_t len) {
    bool wanted = atomic_load_explicit(&net_of(conn)->tls, memory_order_relaxed) != NULL;
    if (wanted) {
        car_conn_secure(conn, bytes, len);
    }
    return wanted;
}

static size_t on_input(struct car_conn *conn, char *bytes, size_t len) {
    struct car_http_conn *http = conn->proto;
    size_t header = 0;
    if (http->over) {
        return len;
    }
    if (http->whole || http->move) {
        return 0; /* an answer is due first */
    }
    if (http->peer.header) {
        if (car_conn_peer_feed(&http->peer, bytes, len, &header) != CAR_OK) {
            car_conn_close(conn); /* who does not say who it is gets no answer */
            return len;
        }
        if (!http->peer.header && secure(conn, bytes + header, len - header)) {
            return len;
        }
    }
    return header == len ? len : header + take_requests(http, bytes + header, len - header);
}

static void on_eof(struct car_conn *conn) {
    struct car_http_conn *http = conn->proto;
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

/* At the end: what has come is read, and who has begun to shake hands may do so, and has a moment for a request after
 * it. */
static bool is_awaited(struct car_http_conn *http) {
    bool before = http->awaited;
    bool more = http->conn->readable || car_tls_is_shaking(http->conn);
    http->awaited = more && atomic_load(&net_of(http->conn)->draining);
    return before || http->awaited;
}

static void on_wake(struct car_conn *conn) {
    struct car_http_conn *http = conn->proto;
    const struct car_net *net = net_of(conn);
    if (car_conn_is_stuck(conn)) {
        car_conn_close(conn);
    } else if (http->whole || http->move || car_conn_pending(conn) > 0) {
        car_conn_wake_in(conn, net->idle_timeout_ms); /* an answer is ours to give, or on its way */
    } else if (http->incoming.deadline) {
        refuse(http, 408, TOO_LATE);
    } else if (is_awaited(http)) {
        car_conn_wake_in(conn, MOMENT_MS);
    } else {
        car_conn_finish(conn);
    }
}

static void on_drained(struct car_conn *conn) {
    struct car_http_conn *http = conn->proto;
    if (http->move) {
        car_move_depart(&http->move, http->conn);
    }
}

static void on_leave(struct car_conn *conn) {
    struct car_http_conn *http = conn->proto;
    if (http->exchange) {
        http->exchange->keep_alive = false;
    } else if (!http->incoming.deadline) {
        http->awaited = conn->tls && !car_tls_is_open(conn->tls); /* its handshake may be over when this moment is */
        car_conn_wake_in(conn, MOMENT_MS);
    }
}

/* A request of which all has come but its body is refused for what the server does; one of which there is less has not
 * arrived in the time that there was for it (RFC 9110, sections 15.6.4 and 15.5.9). */
static void on_last(struct car_conn *conn) {
    struct car_http_conn *http = conn->proto;
    if (!http->incoming.deadline || http->whole || http->over || http->move) {
        return;
    }
    if (http->exchange) {
        refuse(http, 503, "the server is going away, and the request has not come whole");
    } else {
        refuse(http, 408, TOO_LATE);
    }
}

static void keeps(const struct car_conn *conn, struct car_keeping *keeping) {
    struct car_http_conn *http = conn->proto;
    keeping->output = car_conn_held(conn);
    car_incoming_keeps(&http->incoming, conn, http->exchange, keeping);
}

/* A request that is not whole is answered; where it waits for its answer, or does not read one, nothing can be said. */
static void on_shed(struct car_conn *conn) {
    struct car_http_conn *http = conn->proto;
    if (conn->finishing || http->whole || http->move || car_conn_pending(conn) > 0) {
        car_conn_close(conn);
        return;
    }
    const char *why;
    int status = car_incoming_give_up(&http->incoming, conn, &why);
    refuse(http, status, why);
    car_http_parser_drop(http->incoming.parser);
}

static void on_ended(struct car_conn *conn) {
    struct car_http_conn *http = conn->proto;
    if (http) {
        car_exchange_orphan(http);
        http_free(http);
    }
}

static const struct car_conn_ops OPS = {
    .input = on_input,
    .eof = on_eof,
    .drained = on_drained,
    .wake = on_wake,
    .leave = on_leave,
    .last = on_last,
    .keeps = keeps,
    .shed = on_shed,
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
    struct car_http_conn *http = calloc(1, sizeof *http);
    struct car_http_limits limits = {.body_bytes = net->max_body};
    conn->proto = http;
    if (http) {
        http->conn = conn;
        http->incoming.parser = car_http_parser_new(&limits, &CALLBACKS, http);
    }
    if (!http || !http->incoming.parser) {
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
    struct car_http_conn *http = conn->proto;
    car_cell_add(&car_net_local(worker)->metrics->accepted, 1);
    if (car_conn_peer_begin(&http->peer, conn) != CAR_OK) {
        car_conn_close(conn);
        return;
    }
    if (!http->peer.header) {
        secure(conn, NULL, 0);
    }
    car_conn_begin(conn);
}

void car_http_conn_take(struct car_worker *worker, int fd, struct car_tls *tls, const struct car_address *peer,
                        struct car_buf *input) {
    struct car_conn *conn = open_conn(worker, fd, false);
    if (!conn) {
        car_tls_free(&tls);
        return;
    }
    if (tls) {
        conn->tls = tls;
        car_tls_arrive(tls, car_net_local(worker));
    }
    struct car_http_conn *http = conn->proto;
    http->shown = true;
    if (peer) {
        http->peer.known = true;
        http->peer.address = *peer;
    }
    car_conn_begin_with(conn, input);
}
