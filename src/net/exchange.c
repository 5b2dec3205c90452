#include "carillon/net/exchange.h"

#include <stdlib.h>

#include "carillon/net/boundary.h"
#include "carillon/net/conn.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/net/out.h"
#include "carillon/runtime/turn.h"
#include "carillon/runtime/worker.h"

#include "http_state.h"
#include "move.h"
#include "tls.h"

#define SPARES_MAX 64

/* A spare one keeps the memory of its headers. */
struct car_exchange *car_exchange_new(struct car_http_conn *http) {
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
        exchange->secure = http->conn->tls != NULL;
        exchange->certified = http->conn->tls && car_tls_is_certified(http->conn->tls);
        exchange->began_us = car_turn_us();
    }
    return exchange;
}

static void free_or_keep(struct car_exchange *exchange) {
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

void car_exchange_free_spares(struct car_net_local *local) {
    while (local->spare_exchanges) {
        struct car_exchange *exchange = local->spare_exchanges;
        local->spare_exchanges = exchange->next_spare;
        car_buf_free(&exchange->headers);
        free(exchange);
    }
    local->spare_exchange_count = 0;
}

void car_exchange_orphan(struct car_http_conn *http) {
    struct car_exchange *exchange = http->exchange;
    http->exchange = NULL;
    if (exchange && (http->whole || exchange->gone) && !exchange->answered) {
        exchange->conn = NULL;
        if (exchange->gone) {
            exchange->gone(exchange);
        }
    } else if (exchange) {
        free_or_keep(exchange);
    }
}

/* Ends the exchange. Returns its connection, or NULL where that has gone. */
static struct car_conn *leave(struct car_exchange *exchange) {
    struct car_conn *conn = exchange->conn;
    exchange->answered = true;
    if (conn) {
        struct car_http_conn *http = conn->proto;
        http->exchange = NULL;
        car_conn_belong(conn, exchange->owner);
        http->over = http->over || !exchange->keep_alive;
    }
    free_or_keep(exchange);
    return conn;
}

void car_exchange_finish(struct car_exchange *exchange, const void *owner, struct car_span head, struct car_span body) {
    struct car_conn *conn = leave(exchange);
    if (!conn) {
        return;
    }
    if (!car_conn_write_copy(conn, owner, head) || (body.len && !car_conn_write_copy(conn, owner, body))) {
        car_conn_close(conn);
        return;
    }
    car_http_conn_next(conn->proto);
}

void car_exchange_finish_with(struct car_exchange *exchange, const void *owner, struct car_span head,
                              struct car_blob *body) {
    struct car_conn *conn = leave(exchange);
    if (!conn) {
        return;
    }
    if (!car_conn_write_copy(conn, owner, head) || !car_conn_write(conn, body)) {
        car_conn_close(conn);
        return;
    }
    car_out_hold(car_net_local(conn->worker), &conn->out, conn->owner); /* others of this turn are to know of it */
    car_http_conn_next(conn->proto);
}

void car_exchange_tell(const struct car_exchange *exchange, int status) {
    const struct car_net *net = car_net_local(exchange->worker)->net;
    if (net->app->answered) {
        net->app->answered(net->app_data, exchange, status);
    }
}

void car_exchange_abort(struct car_exchange *exchange) {
    struct car_conn *conn = leave(exchange);
    if (conn) {
        car_conn_close(conn);
    }
}

struct car_conn *car_exchange_switch(struct car_exchange *exchange, const struct car_conn_ops *ops, void *proto) {
    struct car_conn *conn = leave(exchange);
    if (conn) {
        struct car_http_conn *http = conn->proto;
        http->next_ops = ops;
        http->next_proto = proto;
    }
    return conn;
}

bool car_exchange_move(struct car_exchange *exchange, const struct car_http_request *req, struct car_worker *to) {
    struct car_move *move = to != exchange->worker && !exchange->conn->turned_away ? car_move_new(to) : NULL;
    if (!move) {
        return false;
    }
    struct car_http_conn *http = exchange->conn->proto;
    move->peer_known = http->peer.known;
    move->peer = http->peer.address;
    car_http_head_write(&move->input, req);
    if (move->input.failed) {
        car_move_free(&move);
        return false;
    }
    (void)leave(exchange);
    http->over = false;          /* the request says there once more whether it is the last, */
    http->incoming.deadline = 0; /* and its time runs there */
    http->move = move;
    return true;
}

int car_exchange_peer(const struct car_exchange *exchange, struct car_address *out) {
    struct car_conn *conn = exchange->conn;
    if (!conn) {
        return CAR_ECLOSED;
    }
    struct car_http_conn *http = conn->proto;
    return car_conn_peer_get(&http->peer, conn, out);
}
