#include "carillon/net/eio_conn.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/blob.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "suite.h"

/* A session over long-polling on a worker whose loop the test turns by hand. */
static struct {
    struct car_reclaim *reclaim;
    struct car_worker *worker;
    struct car_net net;
    struct car_eio_server server;
    struct car_eio *eio;
    int peer;
    unsigned messages, drained, ended;
    char sid[CAR_EIO_SID_LEN + 1];
} t;

static const char ALICE, BOB;

static void on_message(struct car_eio *eio, bool binary, struct car_span data) {
    CU_ASSERT(eio == t.eio && !binary && data.len > 0);
    t.messages++;
}

static void on_drained(struct car_eio *eio) {
    (void)eio;
    t.drained++;
}

static void on_upgraded(struct car_eio *eio) {
    (void)eio;
}

static void on_ended(struct car_eio *eio) {
    CU_ASSERT_PTR_EQUAL(eio, t.eio);
    t.ended++;
    free(eio);
}

static const struct car_eio_ops OPS = {
    .message = on_message, .drained = on_drained, .upgraded = on_upgraded, .leave = car_eio_go_away, .ended = on_ended};

static struct car_eio *open_eio(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    (void)exchange;
    (void)req;
    t.eio = calloc(1, sizeof *t.eio);
    return t.eio;
}

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    car_eio_request(&t.server, exchange, req);
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    (void)app;
    (void)status;
    (void)why;
    car_exchange_abort(exchange);
}

static const struct car_http_app APP = {.request = on_request, .refuse = on_refuse};

/* Sends a request over a connection of its own, which becomes the peer, and turns the loop. */
static void ask(const char *method, const char *body) {
    char request[512];
    int ends[2];
    int len = snprintf(request, sizeof request,
                       "%s /?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", method,
                       t.sid[0] ? "&sid=" : "", t.sid, strlen(body), body);
    if (t.peer > 0) {
        close(t.peer);
    }
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    t.peer = ends[1];
    CU_ASSERT_EQUAL(send(t.peer, request, (size_t)len, 0), len);
    atomic_fetch_add(&t.worker->connections, 1);
    car_http_conn_open(t.worker, ends[0], false);
    for (int i = 0; i < 3; i++) {
        uv_run(&t.worker->loop, UV_RUN_NOWAIT);
    }
}

/* The body of the answer; "" while there is none. */
static const char *answer(void) {
    static char text[4096];
    for (int i = 0; i < 3; i++) {
        uv_run(&t.worker->loop, UV_RUN_NOWAIT);
    }
    ssize_t n = recv(t.peer, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *body = strstr(text, "\r\n\r\n");
    return body ? body + 4 : "";
}

static void set_up(void) {
    memset(&t, 0, sizeof t);
    t.net = (struct car_net){.app = &APP, .max_body = 4096, .request_timeout_ms = 60000, .idle_timeout_ms = 60000};
    t.server = (struct car_eio_server){
        .ops = &OPS, .open = open_eio, .ping_interval_ms = 60000, .ping_timeout_ms = 60000, .max_payload = 4096};
    t.reclaim = car_reclaim_new();
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.worker, 0, t.reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.worker), 0);
    ask("GET", "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.eio);
    CU_ASSERT_EQUAL(strncmp(answer(), "0{\"sid\":\"", 9), 0);
    car_eio_sid(t.eio, t.sid);
    CU_ASSERT_EQUAL(atomic_load(&t.net.sessions), 1);
}

static void tear_down(void) {
    car_net_abort(t.worker);
    (void)answer();
    CU_ASSERT_EQUAL(t.ended, 1);
    CU_ASSERT_EQUAL(atomic_load(&t.net.sessions), 0);
    CU_ASSERT_EQUAL(atomic_load(&t.worker->connections), 0);
    close(t.peer);
    car_worker_join(t.worker);
    car_net_detach(t.worker);
    car_worker_close(&t.worker);
    car_reclaim_free(&t.reclaim);
}

static void test_owner(void) {
    for (int ready = 0; ready < 2; ready++) {
        set_up();
        car_eio_settle(t.eio, &ALICE);
        car_eio_settle(t.eio, &BOB); /* an owner never changes */
        CU_ASSERT(car_eio_send(t.eio, &ALICE, CAR_SPAN("4for alice")));
        CU_ASSERT_EQUAL(atomic_load(&car_net_local(t.worker)->refused_writes), 0);
        if (ready) {
            struct car_blob *blob = car_blob_copy(&BOB, "4for bob", 8);
            CU_ASSERT_FALSE(car_eio_send_ready(t.eio, blob));
            car_blob_unref(&blob);
        } else {
            CU_ASSERT_FALSE(car_eio_send(t.eio, &BOB, CAR_SPAN("4for bob")));
        }
        CU_ASSERT_EQUAL(atomic_load(&car_net_local(t.worker)->refused_writes), 1);
        (void)answer();
        CU_ASSERT_EQUAL(t.ended, 1);
        ask("GET", "");
        CU_ASSERT_EQUAL(strcmp(answer(), "{\"code\":1,\"message\":\"Session ID unknown\"}"), 0);
        tear_down();
    }
}

/* It is full while no poll waits, and says so when one comes. */
static void test_full_without_a_poll(void) {
    set_up();
    CU_ASSERT(car_eio_is_full(t.eio));
    ask("GET", "");
    CU_ASSERT_EQUAL(t.drained, 1);
    CU_ASSERT_FALSE(car_eio_is_full(t.eio));
    CU_ASSERT(car_eio_send(t.eio, NULL, CAR_SPAN("4a")) && car_eio_send(t.eio, NULL, CAR_SPAN("4b")));
    CU_ASSERT(car_eio_send_binary(t.eio, NULL, CAR_SPAN("\1\2\3\4")));
    CU_ASSERT_EQUAL(strcmp(answer(), "4a\x1e"
                                     "4b\x1e"
                                     "bAQIDBA=="),
                    0);
    CU_ASSERT(car_eio_is_full(t.eio));
    tear_down();
}

static void test_close_waits_for_a_poll(void) {
    set_up();
    CU_ASSERT(car_eio_send(t.eio, NULL, CAR_SPAN("4last words")));
    car_eio_close(t.eio, 1001, "");
    CU_ASSERT_FALSE(car_eio_send(t.eio, NULL, CAR_SPAN("4too late")));
    CU_ASSERT_EQUAL(t.ended, 0);
    ask("GET", "");
    CU_ASSERT_EQUAL(strcmp(answer(), "4last words\x1e"
                                     "1"),
                    0);
    CU_ASSERT_EQUAL(t.ended, 1);
    tear_down();
}

static void test_messages(void) {
    set_up();
    ask("POST", "4a\x1e"
                "4b\x1e"
                "6\x1e"
                "4c");
    CU_ASSERT_EQUAL(t.messages, 3);
    CU_ASSERT_EQUAL(strcmp(answer(), "ok"), 0);
    ask("POST", "4d\x1e"
                "1\x1e"
                "4e");
    CU_ASSERT_EQUAL(t.messages, 4);
    CU_ASSERT_EQUAL(strcmp(answer(), "ok"), 0);
    CU_ASSERT_EQUAL(t.ended, 1);
    tear_down();
}

static const struct car_test TESTS[] = {
    {"bytes of another owner", test_owner},
    {"full without a poll", test_full_without_a_poll},
    {"closing waits for a poll", test_close_waits_for_a_poll},
    {"messages of a payload", test_messages},
};

int main(void) {
    return car_suite_main("eio_conn", TESTS, sizeof TESTS / sizeof *TESTS);
}
