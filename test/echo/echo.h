#ifndef CARILLON_TEST_ECHO_H
#define CARILLON_TEST_ECHO_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/net/eio_conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"

/* What the echo server speaks beside HTTP and WebSocket. */
struct echo_app {
    bool has_engineio, has_socketio;
    struct car_eio_server engineio, socketio;
};

/* Answers all requests; its `app` is a struct echo_app. */
extern const struct car_http_app echo_http;

/* Engine.IO sessions that send every message back. */
extern const struct car_eio_ops echo_engineio_ops;
struct car_eio *echo_engineio_open(void *app, struct car_exchange *exchange, const struct car_http_request *req);

/* Socket.IO clients, in the namespaces / and /custom: what they connect with comes back as `auth`, `message` as
 * `message-back`, and `message-with-ack` as its acknowledgement. */
extern const struct car_eio_ops echo_socketio_ops;
struct car_eio *echo_socketio_open(void *app, struct car_exchange *exchange, const struct car_http_request *req);

#endif
