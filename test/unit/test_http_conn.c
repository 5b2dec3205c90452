#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

/* One HTTP connection of a worker whose loop the test turns by hand. */
static struct {
    struct car_reclaim *reclaim;
    struct car_worker *worker;
    struct car_net net;
    int peer;
    struct car_exchange *held; /* where the application answers later */
    /* what it does with a request */
    enum {
        ANSWER,
        HOLD,
        LISTEN,
        LISTEN_AND_ANSWER,
        LISTEN_EARLY,
        LISTEN_FOR_REFUSAL,
        TURN_OVER,
        TURN_OVER_AND_CLOSE,
        ABORT
    } what;
    unsigned requests;
    unsigned gone; /* how often it heard that the connection has gone */
    /* what the protocol that took over saw */
    char proto;
    size_t input_len;
    unsigned ends;
} t;

static size_t next_input(struct car_conn *conn, char *bytes, size_t len) {
    (void)bytes;
    CU_ASSERT_PTR_EQUAL(conn->proto, &t.proto);
    t.input_len += len;
    return len;
}

static void next_event(struct car_conn *conn) {
    (void)conn;
}

static void next_ended(struct car_conn *conn) {
    CU_ASSERT_PTR_EQUAL(conn->proto, &t.proto);
    t.ends++;
}

static const struct car_conn_ops NEXT = {
    .input = next_input,
    .eof = car_conn_close,
    .drained = next_event,
    .wake = next_event,
    .leave = car_conn_finish,
    .ended = next_ended,
};

static void answer(struct car_exchange *exchange) {
    car_exchange_finish(exchange, NULL, CAR_SPAN("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), CAR_SPAN("ok"));
}

static void on_gone(struct car_exchange *exchange) {
    CU_ASSERT_PTR_NULL(exchange->conn);
    CU_ASSERT_PTR_EQUAL(exchange->holder, &t);
    t.gone++;
    if (t.what == LISTEN_AND_ANSWER) {
        answer(exchange);
    }
}

/* It never became whole. */
static void on_refused(struct car_exchange *exchange) {
    CU_ASSERT_PTR_NOT_NULL(exchange->conn);
    CU_ASSERT_PTR_EQUAL(exchange->holder, &t);
    t.gone++;
}

static int on_begin(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    (void)app;
    (void)req;
    (void)why;
    CU_ASSERT_PTR_NULL(exchange->gone); /* nothing is left of the one before */
    CU_ASSERT_PTR_NULL(exchange->holder);
    if (t.what == LISTEN_EARLY || t.what == LISTEN_FOR_REFUSAL) {
        exchange->gone = t.what == LISTEN_EARLY ? on_gone : on_refused;
        exchange->holder = &t;
        t.held = exchange;
    }
    return 0;
}

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    (void)req;
    t.requests++;
    if (t.what == ANSWER) {
        answer(exchange);
    } else if (t.what == HOLD) {
        t.held = exchange;
    } else if (t.what == LISTEN || t.what == LISTEN_AND_ANSWER) {
        exchange->gone = on_gone;
        exchange->holder = &t;
        t.held = exchange;
    } else if (t.what == ABORT) {
        car_exchange_abort(exchange);
    } else {
        struct car_conn *conn = car_exchange_switch(exchange, &NEXT, &t.proto);
        CU_ASSERT_PTR_NOT_NULL_FATAL(conn);
        if (t.what == TURN_OVER_AND_CLOSE) {
            car_conn_close(conn); /* as where the first bytes to send find no memory */
        }
    }
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    (void)app;
    (void)status;
    (void)why;
    answer(exchange);
}

static const struct car_http_app APP = {.begin = on_begin, .request = on_request, .refuse = on_refuse};

static void turn(unsigned times) {
    while (times--) {
        uv_run(&t.worker->loop, UV_RUN_NOWAIT);
    }
}

static void set_up(int what, const char *request) {
    int ends[2];
    memset(&t, 0, sizeof t);
    t.what = what;
    t.net = (struct car_net){.app = &APP, .request_timeout_ms = 60000, .idle_timeout_ms = 60000};
    t.reclaim = car_reclaim_new();
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.worker, 0, t.reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.worker), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    t.peer = ends[1];
    CU_ASSERT_EQUAL(send(t.peer, request, strlen(request), 0), (ssize_t)strlen(request));
    atomic_store(&t.worker->connections, 1);
    car_http_conn_open(t.worker, ends[0], false);
    turn(2);
}

static void tear_down(void) {
    car_net_abort(t.worker);
    turn(3);
    CU_ASSERT_EQUAL(atomic_load(&t.worker->connections), 0);
    close(t.peer);
    car_worker_join(t.worker);
    car_net_detach(t.worker);
    car_worker_close(&t.worker);
    car_reclaim_free(&t.reclaim);
}

static size_t count_answers(void) {
    static char bytes[1 << 16];
    ssize_t n = recv(t.peer, bytes, sizeof bytes - 1, 0);
    size_t count = 0;
    bytes[n > 0 ? n : 0] = '\0';
    for (const char *at = bytes; (at = strstr(at, "HTTP/1.1 200")); at++) {
        count++;
    }
    return count;
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* A request that came with the connection is answered without another look at the socket. */
static void test_request_at_once(void) {
    set_up(ANSWER, GET GET);
    CU_ASSERT_EQUAL(t.requests, 2);
    CU_ASSERT_EQUAL(count_answers(), 2);
    tear_down();
}

static void test_answer_later(void) {
    set_up(HOLD, GET GET);
    CU_ASSERT_EQUAL(t.requests, 1); /* the next one is read when this one is answered */
    CU_ASSERT_EQUAL(count_answers(), 0);
    t.what = ANSWER;
    answer(t.held);
    turn(3);
    CU_ASSERT_EQUAL(t.requests, 2);
    CU_ASSERT_EQUAL(count_answers(), 2);
    tear_down();
}

/* Whoever holds the exchange answers it in the end, to nobody. */
static void test_answer_after_the_end(void) {
    set_up(HOLD, GET);
    car_net_abort(t.worker);
    turn(3);
    CU_ASSERT_PTR_NULL(t.held->conn);
    answer(t.held);
    tear_down();
}

/* Whoever asked for it hears that the connection has gone, and ends the exchange later … */
static void test_gone(void) {
    set_up(LISTEN, GET);
    CU_ASSERT_EQUAL(t.gone, 0);
    car_net_abort(t.worker);
    turn(3);
    CU_ASSERT_EQUAL(t.gone, 1);
    answer(t.held);
    tear_down();
    CU_ASSERT_EQUAL(t.gone, 1);
}

/* … or at once. */
static void test_gone_and_answered(void) {
    set_up(LISTEN_AND_ANSWER, GET);
    car_net_abort(t.worker);
    turn(3);
    CU_ASSERT_EQUAL(t.gone, 1);
    tear_down();
    CU_ASSERT_EQUAL(t.gone, 1);
}

#define HALF "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"

/* Its body breaks off. */
static void test_gone_early(void) {
    set_up(LISTEN_EARLY, HALF);
    CU_ASSERT_EQUAL(t.gone, 0);
    shutdown(t.peer, SHUT_WR);
    turn(3);
    CU_ASSERT_EQUAL(t.gone, 1);
    CU_ASSERT_EQUAL(t.requests, 0);
    answer(t.held);
    tear_down();
    CU_ASSERT_EQUAL(t.gone, 1);
}

/* Its body is none. */
static void test_refused_early(void) {
    set_up(LISTEN_FOR_REFUSAL, HALF);
    CU_ASSERT_EQUAL(send(t.peer, "fnonsense", 9, MSG_NOSIGNAL), 9);
    turn(3);
    CU_ASSERT_EQUAL(t.gone, 1);
    CU_ASSERT_EQUAL(t.requests, 0);
    tear_down();
    CU_ASSERT_EQUAL(t.gone, 1);
}

/* Who is answered has not gone, and the next request begins without what was set for it. */
static void test_not_gone(void) {
    set_up(LISTEN, GET GET);
    answer(t.held);
    t.what = ANSWER;
    turn(3);
    CU_ASSERT_EQUAL(t.requests, 2);
    CU_ASSERT_EQUAL(count_answers(), 2);
    tear_down();
    CU_ASSERT_EQUAL(t.gone, 0);
}

/* A peer that closes its side is still answered, but for answers that may take long. */
static void test_half_closed(void) {
    set_up(HOLD, GET);
    shutdown(t.peer, SHUT_WR);
    turn(3);
    CU_ASSERT_PTR_NOT_NULL(t.held->conn);
    answer(t.held);
    turn(3);
    CU_ASSERT_EQUAL(count_answers(), 1);
    tear_down();
    set_up(LISTEN, GET);
    shutdown(t.peer, SHUT_WR);
    turn(3);
    CU_ASSERT_EQUAL(t.gone, 1);
    answer(t.held);
    tear_down();
}

static void test_abort(void) {
    set_up(ABORT, GET GET);
    CU_ASSERT_EQUAL(t.requests, 1);
    CU_ASSERT_EQUAL(count_answers(), 0);
    tear_down();
}

static void test_turned_over(void) {
    set_up(TURN_OVER, GET "behind");
    CU_ASSERT_EQUAL(t.requests, 1);
    CU_ASSERT_EQUAL(t.input_len, 6);
    CU_ASSERT_EQUAL(t.ends, 0);
    tear_down();
    CU_ASSERT_EQUAL(t.ends, 1);
}

/* A connection that closes while it changes hands ends with the protocol that took it over, which has to let go. */
static void test_turned_over_and_closed(void) {
    set_up(TURN_OVER_AND_CLOSE, GET "behind");
    CU_ASSERT_EQUAL(t.input_len, 0);
    CU_ASSERT_EQUAL(t.ends, 1);
    tear_down();
    CU_ASSERT_EQUAL(t.ends, 1);
}

static const struct car_test TESTS[] = {
    {"a request that came along", test_request_at_once},
    {"answered later", test_answer_later},
    {"answered after the end", test_answer_after_the_end},
    {"gone", test_gone},
    {"gone, and answered at once", test_gone_and_answered},
    {"gone before it was whole", test_gone_early},
    {"refused before it was whole", test_refused_early},
    {"answered, and not gone", test_not_gone},
    {"a peer that has closed its side", test_half_closed},
    {"aborted", test_abort},
    {"turned over", test_turned_over},
    {"turned over and closed", test_turned_over_and_closed},
};

int main(void) {
    return car_suite_main("http_conn", TESTS, sizeof TESTS / sizeof *TESTS);
}
