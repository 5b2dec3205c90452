/*
 * A server for conformance suites, on proto and net alone: echoes every WebSocket message on any path, and answers any
 * HTTP request with its body; /echo answers with the request's header lines.
 *
 *   echo-server [--port N] [--threads N]
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/listener.h"
#include "carillon/net/net.h"
#include "carillon/net/ws_conn.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#define MESSAGE_MAX (64u << 20)
#define THREADS_MAX 64

/* HTTP. */

static void answer(struct car_exchange *exchange, int status, struct car_span body) {
    struct car_buf out = CAR_BUF_INIT;
    car_http_status_line(&out, status);
    if (status == 426) {
        CAR_BUF_LIT(&out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    }
    car_buf_printf(&out, "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n",
                   body.len, exchange->keep_alive ? "keep-alive" : "close");
    if (out.failed) {
        car_exchange_abort(exchange);
    } else {
        bool content = exchange->verb != CAR_HTTP_HEAD;
        car_exchange_finish(exchange, NULL, car_buf_view(&out), content ? body : car_span_of(NULL, 0));
    }
    car_buf_free(&out);
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

static int on_begin(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    (void)app;
    (void)exchange;
    (void)req;
    (void)why;
    return 0;
}

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    if (req->upgrade || car_http_header_has_token(req, "Upgrade", "websocket")) {
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

static const struct car_http_app APP = {.begin = on_begin, .request = on_request, .refuse = on_refuse};

/* The process: as short a life as a test needs. */

struct echo {
    uv_loop_t loop;
    uv_signal_t sigterm;
    struct car_listener *listener;
    struct car_worker *workers[THREADS_MAX];
    struct car_note notes[THREADS_MAX];
    unsigned count;
};

static void stop_worker(struct car_note *note, void *owner) {
    struct car_worker *worker = owner;
    car_net_abort(worker);
    if (atomic_load(&worker->connections) == 0) {
        car_worker_stop(worker);
    } else {
        car_mailbox_post(&worker->mailbox, note); /* once more, when the connections have closed */
    }
}

static void on_sigterm(uv_signal_t *handle, int signum) {
    struct echo *echo = handle->data;
    (void)signum;
    car_listener_close(&echo->listener);
    for (unsigned i = 0; i < echo->count; i++) {
        echo->notes[i].run = stop_worker;
        car_mailbox_post(&echo->workers[i]->mailbox, &echo->notes[i]);
    }
    uv_close((uv_handle_t *)handle, NULL);
}

static void usage(void) {
    fputs("usage: echo-server [--port 0…65535] [--threads 1…64]\n", stderr);
    exit(2);
}

static unsigned long number(const char *text, unsigned long max) {
    char *end = NULL;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!text || end == text || *end || *text == '-' || value > max) {
        usage();
    }
    return value;
}

static void require(int err, const char *what) {
    if (err) {
        fprintf(stderr, "echo-server: %s: %s\n", what, car_control_strerror(err));
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv) {
    static struct echo echo;
    static struct car_net net = {
        .app = &APP,
        .max_body = MESSAGE_MAX,
        .request_timeout_ms = 20000,
        .idle_timeout_ms = 75000,
        .ping_interval_ms = 600000,
        .ping_timeout_ms = 20000,
        .sse_keepalive_ms = 15000,
    };
    signal(SIGPIPE, SIG_IGN);
    struct car_reclaim *reclaim = car_reclaim_new();
    unsigned long threads = 1;
    unsigned long port = 9001;
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0) {
            port = number(argv[i + 1], UINT16_MAX);
        } else if (strcmp(argv[i], "--threads") == 0) {
            threads = number(argv[i + 1], THREADS_MAX);
        } else {
            usage();
        }
    }
    if (threads == 0) {
        usage();
    }
    require(reclaim ? 0 : CAR_ENOMEM, "start");
    require(uv_loop_init(&echo.loop), "loop");
    for (; echo.count < threads; echo.count++) {
        require(car_worker_open(&echo.workers[echo.count], echo.count, reclaim), "worker");
        require(car_net_attach(&net, echo.workers[echo.count]), "net");
        require(car_worker_start(echo.workers[echo.count]), "thread");
    }
    struct car_listener_config config = {
        .host = "127.0.0.1",
        .port = (uint16_t)port,
        .max_connections = 10000,
        .workers = echo.workers,
        .worker_count = echo.count,
    };
    require(car_listener_open(&echo.listener, &echo.loop, &config), "listen");
    uv_signal_init(&echo.loop, &echo.sigterm);
    echo.sigterm.data = &echo;
    uv_signal_start(&echo.sigterm, on_sigterm, SIGTERM);
    fprintf(stderr, "listening on 127.0.0.1:%u\n", car_listener_port(echo.listener));
    uv_run(&echo.loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < echo.count; i++) {
        car_worker_join(echo.workers[i]);
        car_net_detach(echo.workers[i]);
        car_worker_close(&echo.workers[i]);
    }
    uv_loop_close(&echo.loop);
    car_reclaim_free(&reclaim);
    return EXIT_SUCCESS;
}
