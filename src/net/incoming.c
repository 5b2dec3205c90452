#include "incoming.h"

#include <stddef.h>

#include "carillon/net/conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/proto/http.h"

#include "hoard.h"

void car_incoming_free(struct car_incoming *incoming) {
    car_http_parser_free(&incoming->parser);
}

void car_incoming_head(struct car_incoming *incoming) {
    incoming->asked = false;
}

void car_incoming_whole(struct car_incoming *incoming, struct car_conn *conn) {
    incoming->deadline = 0;
    if (conn->hoard) {
        car_hoard_drop(car_net_local(conn->worker), &conn->hoard); /* it is not to count twice */
    }
}

void car_incoming_wait(struct car_incoming *incoming, struct car_conn *conn, const struct car_exchange *exchange) {
    bool begun = exchange || car_http_parser_stage(incoming->parser) != CAR_HTTP_IDLE;
    if (begun && !incoming->deadline) {
        uint32_t timeout = car_net_local(conn->worker)->net->request_timeout_ms;
        incoming->deadline = car_conn_now(conn) + timeout;
        car_conn_wake_in(conn, timeout);
    }
    if (car_http_parser_kept(incoming->parser) >= CAR_HOARD_MIN) {
        car_hoard_look_at(conn);
    }
}

static const void *find_owner(const struct car_conn *conn, const struct car_exchange *exchange,
                              const struct car_http_request *req) {
    const struct car_net *net = car_net_local(conn->worker)->net;
    if (exchange->owner || !net->app->whose) {
        return exchange->owner;
    }
    return net->app->whose(net->app_data, exchange, req);
}

const void *car_incoming_whose(struct car_incoming *incoming, const struct car_conn *conn,
                               const struct car_exchange *exchange, const struct car_http_request *req) {
    if (!incoming->asked) {
        incoming->asked = true;
        incoming->whose = find_owner(conn, exchange, req);
    }
    return incoming->whose;
}

void car_incoming_keeps(struct car_incoming *incoming, const struct car_conn *conn, const struct car_exchange *exchange,
                        struct car_keeping *keeping) {
    size_t kept = car_http_parser_kept(incoming->parser);
    keeping->input += kept;
    if (kept < CAR_HOARD_MIN) {
        return;
    }
    const struct car_http_request *req = car_http_parser_request(incoming->parser);
    if (req && exchange) {
        (void)car_incoming_whose(incoming, conn, exchange, req);
    }
    keeping->owner = incoming->asked ? incoming->whose : NULL;
}

int car_incoming_give_up(const struct car_incoming *incoming, const struct car_conn *conn, const char **why) {
    if (!car_hoard_fits(conn)) {
        *why = CAR_HTTP_TOO_MUCH;
        return 413;
    }
    *why = incoming->whose ? CAR_HTTP_SHED : CAR_HTTP_FULL;
    return 503;
}
