#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/net/response.h"
#include "carillon/net/ws_conn.h"
#include "echo.h"

/* HTTP. */

static void answer(struct car_exchange *exchange, int status, struct car_span body) {
    car_respond(exchange, &(struct car_response){
                              .status = status,
                              .type = "application/octet-stream",
                              .body = body,
                              .headers = status == 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" : "",
                          });
}

static void answer_headers(struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_buf out = CAR_BUF_INIT;
    for (size_t i = 0; i < req->header_count; i++) {
        car_buf_span(&out, req->headers[i].name);
        CAR_BUF_LIT(&out, ": ");
        car_buf_span(&out, req->headers[i].value);
        CAR_BUF_LIT(&out, "\n");
    }
    answer(exchange, 200, car_buf_view(&out));
    car_buf_free(&out);
}

/* WebSocket. */

static void on_message(struct car_ws *ws, enum car_ws_opcode op, char *data, size_t len) {
    car_ws_send(ws, NULL, op, car_span_of(data, len));
}

static void on_drained(struct car_ws *ws) {
    (void)ws;
}

static void on_ended(struct car_ws *ws) {
    free(ws);
}

static const struct car_ws_ops WS_OPS = {.message = on_message, .drained = on_drained, .ended = on_ended};

static void open_websocket(struct car_exchange *exchange, const struct car_http_request *req) {
    const char *why = NULL;
    int status = car_ws_check(req, &why);
    struct car_ws *ws = status ? NULL : calloc(1, sizeof *ws);
    if (status || !ws) {
        answer(exchange, status ? status : 503, car_span_cstr(why));
    } else if (!car_ws_open(ws, exchange, req, &WS_OPS)) {
        free(ws);
    }
}

/* What speaks Engine.IO at the path; NULL where nothing does. */
static const struct car_eio_server *server_at(const struct echo_app *echo, struct car_span path) {
    if (echo->has_engineio && car_span_eq(path, CAR_SPAN("/engine.io/"))) {
        return &echo->engineio;
    }
    return echo->has_socketio && car_span_eq(path, CAR_SPAN("/socket.io/")) ? &echo->socketio : NULL;
}

static int on_begin(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    const struct car_eio_server *server = server_at(app, req->path);
    (void)why;
    if (server) {
        car_eio_expect(server, exchange, req);
    }
    return 0;
}

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    const struct car_eio_server *server = server_at(app, req->path);
    if (server) {
        car_eio_request(server, exchange, req);
    } else if (req->upgrade || car_http_header_has_token(req, "Upgrade", "websocket")) {
        open_websocket(exchange, req);
    } else if (car_span_eq(req->path, CAR_SPAN("/echo"))) {
        answer_headers(exchange, req);
    } else {
        answer(exchange, 200, req->body);
    }
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    (void)app;
    answer(exchange, status, car_span_cstr(why));
}

const struct car_http_app echo_http = {.begin = on_begin, .request = on_request, .refuse = on_refuse};
