#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net.h"
#include "carillon/net/response.h"
#include "carillon/proto/http.h"
#include "carillon/runtime/worker.h"

#include "eio_state.h"
#include "eio_table.h"

enum transport { UNKNOWN, POLLING, WEBSOCKET };

/* What a request's query says. */
struct query {
    enum transport transport;
    bool version_4;
    bool has_sid;
    bool sid_sound;
    unsigned worker_id;
    uint8_t key[16];
};

void car_eio_refuse(struct car_exchange *exchange, int error) {
    bool forbidden = error == CAR_ENGINEIO_FORBIDDEN;
    car_respond(exchange, &(struct car_response){.status = forbidden ? 403 : 400,
                                                 .type = CAR_TYPE_JSON,
                                                 .body = car_engineio_error_json((enum car_engineio_error)error),
                                                 .headers = "Cache-Control: no-store\r\n"});
}

static bool parameter(struct car_span query, const char *name, struct car_buf *out) {
    out->len = 0;
    return car_http_param(query, name, out) == 0;
}

static void read_query(struct car_span text, struct query *query) {
    struct car_buf value = CAR_BUF_INIT;
    *query = (struct query){0};
    if (parameter(text, "transport", &value)) {
        query->transport = car_span_eq(car_buf_view(&value), CAR_SPAN("polling"))     ? POLLING
                           : car_span_eq(car_buf_view(&value), CAR_SPAN("websocket")) ? WEBSOCKET
                                                                                      : UNKNOWN;
    }
    query->version_4 = parameter(text, "EIO", &value) && car_span_eq(car_buf_view(&value), CAR_SPAN("4"));
    query->has_sid = parameter(text, "sid", &value) && value.len > 0;
    query->sid_sound = query->has_sid && car_eio_sid_read(car_buf_view(&value), &query->worker_id, query->key) == 0;
    car_buf_free(&value);
}

/* As every WebSocket handshake of another version (RFC 6455, section 4.4). */
static void refuse_version(struct car_exchange *exchange) {
    car_respond(exchange, &(struct car_response){.status = 426,
                                                 .type = CAR_TYPE_JSON,
                                                 .body = car_engineio_error_json(CAR_ENGINEIO_BAD_REQUEST),
                                                 .headers = "Cache-Control: no-store\r\n"
                                                            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"});
}

/* Whether the request is a sound WebSocket handshake; where not, it is refused. */
static bool may_upgrade(struct car_exchange *exchange, const struct car_http_request *req) {
    const char *why = NULL;
    int status = car_ws_check(req, &why);
    if (status == 426) {
        refuse_version(exchange);
    } else if (status) {
        car_eio_refuse(exchange, CAR_ENGINEIO_BAD_REQUEST);
    }
    return status == 0;
}

/* A request of a session that exists. */

static void upgrade(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req) {
    if (!may_upgrade(exchange, req)) {
        return;
    }
    if (eio->ws || eio->probe || eio->closing) {
        car_eio_ws_turn_away(exchange, req);
    } else {
        (void)car_eio_ws_open(eio, exchange, req, true);
    }
}

static void continue_session(struct car_eio *eio, const struct query *query, struct car_exchange *exchange,
                             const struct car_http_request *req) {
    if (eio->polling && eio->polling->post == exchange) {
        car_eio_polling_forget(eio);
    }
    if (eio->server->admit && !eio->server->admit(eio, exchange, req)) {
        return;
    }
    bool polls = !req->upgrade && query->transport == POLLING && !eio->ws;
    if (car_eio_is_late(eio)) {
        car_eio_refuse(exchange, CAR_ENGINEIO_UNKNOWN_SID);
    } else if (req->upgrade && query->transport == WEBSOCKET) {
        upgrade(eio, exchange, req);
    } else if (polls && req->verb == CAR_HTTP_GET) {
        car_eio_poll(eio, exchange);
    } else if (polls && req->verb == CAR_HTTP_POST) {
        car_eio_post(eio, exchange, req);
    } else {
        car_eio_refuse(exchange, CAR_ENGINEIO_BAD_REQUEST);
    }
}

/* NULL where there is none of that id here. */
static struct car_eio *find_session(const struct car_eio_server *server, const struct query *query,
                                    struct car_worker *worker) {
    struct car_eio *eio = query->sid_sound && query->worker_id == worker->id
                              ? car_eio_table_find(car_net_local(worker)->eios, query->key)
                              : NULL;
    return eio && eio->server == server ? eio : NULL;
}

void car_eio_expect(const struct car_eio_server *server, struct car_exchange *exchange,
                    const struct car_http_request *req) {
    struct car_net *net = car_net_local(exchange->worker)->net;
    struct query query;
    read_query(req->query, &query);
    if (!query.sid_sound) {
        return;
    }
    if (query.worker_id != exchange->worker->id) {
        if (query.worker_id < net->worker_count) {
            (void)car_exchange_move(exchange, req, net->workers[query.worker_id]); /* or it is unknown here */
        }
        return;
    }
    struct car_eio *eio = find_session(server, &query, exchange->worker);
    if (eio && !eio->ws && req->verb == CAR_HTTP_POST && !req->upgrade && query.transport == POLLING) {
        car_eio_post_begins(eio, exchange);
    }
}

/* A handshake. */

static void answer_open(struct car_eio *eio, struct car_exchange *exchange) {
    struct car_buf packet = CAR_BUF_INIT;
    car_eio_write_open(eio, &packet);
    if (packet.failed) {
        car_exchange_abort(exchange);
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_INTERNAL, "");
    } else {
        car_respond(exchange, &(struct car_response){.status = 200,
                                                     .type = "text/plain; charset=UTF-8",
                                                     .body = car_buf_view(&packet),
                                                     .headers = "Cache-Control: no-store\r\n"});
    }
    car_buf_free(&packet);
}

static void send_open(struct car_eio *eio) {
    struct car_buf packet = CAR_BUF_INIT;
    car_eio_write_open(eio, &packet);
    if (packet.failed) {
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_INTERNAL, "");
    } else {
        (void)car_eio_send(eio, NULL, car_buf_view(&packet));
    }
    car_buf_free(&packet);
}

static bool has_room(const struct car_net *net) {
    return !atomic_load_explicit(&net->draining, memory_order_relaxed) &&
           (net->max_connections == 0 ||
            atomic_load_explicit(&net->sessions, memory_order_relaxed) < net->max_connections);
}

void car_eio_unavailable(struct car_exchange *exchange) {
    char headers[32];
    snprintf(headers, sizeof headers, "Retry-After: %u\r\n", car_net_retry_s());
    car_respond(exchange, &(struct car_response){.status = 503, .headers = headers});
}

static void open_session(const struct car_eio_server *server, enum transport transport, struct car_exchange *exchange,
                         const struct car_http_request *req) {
    struct car_worker *worker = exchange->worker;
    if (!has_room(car_net_local(worker)->net)) {
        car_eio_unavailable(exchange);
        return;
    }
    struct car_eio *eio = server->open(server->app, exchange, req);
    if (!eio) {
        return;
    }
    if (car_eio_begin(eio, server, worker) != 0) {
        server->ops->ended(eio);
        car_eio_unavailable(exchange);
    } else if (transport == WEBSOCKET) {
        if (car_eio_ws_open(eio, exchange, req, false)) {
            send_open(eio);
        } else {
            car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_INTERNAL, "");
        }
    } else if (car_eio_polling_open(eio) == 0) {
        answer_open(eio, exchange);
    } else {
        car_eio_unavailable(exchange);
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_INTERNAL, "");
    }
}

/* Why a handshake is refused; -1 where it is sound. The order is the reference's: clients tell refusals apart by their
 * codes. */
static int judge(const struct query *query, const struct car_http_request *req) {
    if (req->verb != CAR_HTTP_GET) {
        return CAR_ENGINEIO_BAD_METHOD;
    }
    if ((query->transport == WEBSOCKET) != req->upgrade) {
        return CAR_ENGINEIO_BAD_REQUEST;
    }
    return query->version_4 ? -1 : CAR_ENGINEIO_UNSUPPORTED_VERSION;
}

void car_eio_request(const struct car_eio_server *server, struct car_exchange *exchange,
                     const struct car_http_request *req) {
    struct query query;
    read_query(req->query, &query);
    if (query.transport == UNKNOWN) {
        car_eio_refuse(exchange, CAR_ENGINEIO_UNKNOWN_TRANSPORT);
        return;
    }
    if (query.has_sid) {
        struct car_eio *eio = find_session(server, &query, exchange->worker);
        if (eio) {
            continue_session(eio, &query, exchange, req);
        } else {
            car_eio_refuse(exchange, CAR_ENGINEIO_UNKNOWN_SID);
        }
        return;
    }
    int error = judge(&query, req);
    if (error >= 0) {
        car_eio_refuse(exchange, error);
    } else if (query.transport == POLLING || may_upgrade(exchange, req)) {
        open_session(server, query.transport, exchange, req);
    }
}
