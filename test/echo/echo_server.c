/*
 * A server for conformance suites, on proto and net alone: echoes every WebSocket message on any path, and answers any
 * HTTP request with its body; /echo answers with the request's header lines. With --engineio it echoes Engine.IO
 * messages on /engine.io/, with --socketio it is a Socket.IO server on /socket.io/, as the protocols' public suites
 * want them.
 *
 *   echo-server [--port N] [--threads N] [--engineio] [--socketio] [--ping-interval MS] [--ping-timeout MS]
 *               [--connect-timeout MS] [--max-payload BYTES]
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/net/listener.h"
#include "carillon/net/net.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "echo.h"

#define MESSAGE_MAX (64u << 20)
#define THREADS_MAX 64

/* The process: as short a life as a test needs. */

struct echo {
    struct car_control *control;
    struct car_listener *listener;
    struct car_worker *workers[THREADS_MAX];
    struct car_note notes[THREADS_MAX];
    unsigned count;
    bool ending;
};

static void stop_worker(struct car_note *note, void *owner) {
    struct car_worker *worker = owner;
    car_net_abort(worker);
    if (car_net_left(car_net_local(worker)->net) == 0) {
        car_worker_stop(worker);
    } else {
        car_mailbox_post(&worker->mailbox, note); /* once more, when the connections have closed */
    }
}

static void on_end(void *user, const char *signal_name) {
    struct echo *echo = user;
    (void)signal_name;
    if (echo->ending) {
        return;
    }
    echo->ending = true;
    car_listener_close(&echo->listener);
    for (unsigned i = 0; i < echo->count; i++) {
        echo->notes[i].run = stop_worker;
        car_mailbox_post(&echo->workers[i]->mailbox, &echo->notes[i]);
    }
    car_control_stop(echo->control);
}

static void on_reload(void *user) {
    (void)user;
}

static const struct car_control_ops CONTROL_OPS = {.end = on_end, .reload = on_reload};

static void usage(void) {
    fputs("usage: echo-server [--port N] [--threads 1…64] [--engineio] [--socketio] [--ping-interval MS] "
          "[--ping-timeout MS] [--connect-timeout MS] [--max-payload BYTES]\n",
          stderr);
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

/* What the command line says. */
struct settings {
    unsigned long threads, port, ping_interval, ping_timeout, connect_timeout, max_payload;
    bool engineio, socketio;
};

static struct settings read_arguments(int argc, char **argv) {
    /* The periods and the payload are those that the public suites expect. */
    struct settings s = {.threads = 1,
                         .port = 9001,
                         .ping_interval = 300,
                         .ping_timeout = 200,
                         .connect_timeout = 45000,
                         .max_payload = 1000000};
    const struct {
        const char *name;
        unsigned long *value, max;
    } numbers[] = {
        {"--port", &s.port, UINT16_MAX},
        {"--threads", &s.threads, THREADS_MAX},
        {"--ping-interval", &s.ping_interval, INT32_MAX},
        {"--ping-timeout", &s.ping_timeout, INT32_MAX},
        {"--connect-timeout", &s.connect_timeout, INT32_MAX},
        {"--max-payload", &s.max_payload, MESSAGE_MAX},
    };
    for (int i = 1; i < argc; i++) {
        size_t n = 0;
        bool engineio = strcmp(argv[i], "--engineio") == 0;
        bool socketio = strcmp(argv[i], "--socketio") == 0;
        s.engineio = s.engineio || engineio;
        s.socketio = s.socketio || socketio;
        if (engineio || socketio) {
            continue;
        }
        while (n < sizeof numbers / sizeof *numbers && strcmp(argv[i], numbers[n].name) != 0) {
            n++;
        }
        if (n == sizeof numbers / sizeof *numbers) {
            usage();
        }
        i++; /* argv ends with NULL, which is no number */
        *numbers[n].value = number(argv[i], numbers[n].max);
    }
    if (s.threads == 0) {
        usage();
    }
    return s;
}

static struct car_eio_server engineio_server(const struct settings *s, const struct car_eio_ops *ops) {
    return (struct car_eio_server){.ops = ops,
                                   .ping_interval_ms = (uint32_t)s->ping_interval,
                                   .ping_timeout_ms = (uint32_t)s->ping_timeout,
                                   .connect_timeout_ms = (uint32_t)s->connect_timeout,
                                   .max_payload = s->max_payload};
}

int main(int argc, char **argv) {
    static struct echo echo;
    static struct echo_app app;
    static struct car_net net = {
        .app = &echo_http,
        .app_data = &app,
        .max_body = MESSAGE_MAX,
        .request_timeout_ms = 20000,
        .idle_timeout_ms = 75000,
        .ping_interval_ms = 600000,
        .ping_timeout_ms = 20000,
        .sse_keepalive_ms = 15000,
        .workers = echo.workers,
    };
    struct settings settings = read_arguments(argc, argv);
    app.has_engineio = settings.engineio;
    app.has_socketio = settings.socketio;
    app.engineio = engineio_server(&settings, &echo_engineio_ops);
    app.engineio.open = echo_engineio_open;
    app.engineio.connect_timeout_ms = 0; /* an Engine.IO session need not say what it wants */
    app.socketio = engineio_server(&settings, &echo_socketio_ops);
    app.socketio.open = echo_socketio_open;
    net.worker_count = (unsigned)settings.threads;
    signal(SIGPIPE, SIG_IGN);
    struct car_reclaim *reclaim = car_reclaim_new();
    require(reclaim ? 0 : CAR_ENOMEM, "start");
    require(car_control_open(&echo.control, &CONTROL_OPS, &echo), "loop");
    for (; echo.count < settings.threads; echo.count++) {
        require(car_worker_open(&echo.workers[echo.count], echo.count, reclaim), "worker");
        require(car_net_attach(&net, echo.workers[echo.count]), "net");
        require(car_worker_start(echo.workers[echo.count]), "thread");
    }
    struct car_listener_config config = {
        .host = "127.0.0.1",
        .port = (uint16_t)settings.port,
        .max_connections = 10000,
        .workers = echo.workers,
        .worker_count = echo.count,
    };
    require(car_listener_open(&echo.listener, car_control_loop(echo.control), &config), "listen");
    fprintf(stderr, "listening on 127.0.0.1:%u\n", car_listener_port(echo.listener));
    car_control_run(echo.control);
    /* All are joined before one is freed: another may still look whether all is over. */
    for (unsigned i = 0; i < echo.count; i++) {
        car_worker_join(echo.workers[i]);
    }
    for (unsigned i = 0; i < echo.count; i++) {
        car_net_detach(echo.workers[i]);
        car_worker_close(&echo.workers[i]);
    }
    car_control_close(&echo.control);
    car_reclaim_free(&reclaim);
    return EXIT_SUCCESS;
}
