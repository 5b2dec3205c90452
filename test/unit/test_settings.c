#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/call.h"
#include "carillon/base/config.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

/* The resource behind one connection of a worker whose loop is turned by hand. Nobody has been asked for anything:
 * there is no tenant, no feed and no credential in reach of it. */
static struct car_config config;
static struct car_api api = {.config = &config};

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_call call = {.api = app, .exchange = exchange, .req = req, .path = req->path};
    car_settings(&call);
}

static const struct car_http_app APP = {.request = on_request};

static void turn(struct car_worker *worker) {
    for (int i = 0; i < 3; i++) {
        uv_run(&worker->loop, UV_RUN_NOWAIT);
    }
}

/* What is answered to a GET: the head into `head`, the body as JSON, the caller's to let go of. */
static json_t *ask(char *head, size_t size) {
    static const char REQUEST[] = "GET /api/v1/settings HTTP/1.1\r\nHost: x\r\n\r\n";
    struct car_net net = {.app = &APP, .app_data = &api, .request_timeout_ms = 60000, .idle_timeout_ms = 60000};
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_worker *worker;
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 0, reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&net, worker), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    CU_ASSERT_EQUAL(send(ends[1], REQUEST, sizeof REQUEST - 1, 0), (ssize_t)sizeof REQUEST - 1);
    atomic_store(&worker->connections, 1);
    car_http_conn_open(worker, ends[0], false);
    turn(worker);
    ssize_t len = recv(ends[1], head, size - 1, 0);
    head[len > 0 ? len : 0] = '\0';
    car_net_abort(worker);
    turn(worker);
    close(ends[1]);
    car_worker_join(worker);
    car_net_detach(worker);
    car_worker_close(&worker);
    car_reclaim_free(&reclaim);
    char *body = strstr(head, "\r\n\r\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    *body = '\0';
    return json_loads(body + 4, 0, NULL);
}

/* All that is told, to the last member: who adds one has to say here that it is no secret. */
static void test_what_is_told(void) {
    static const struct {
        enum car_auth_mode mode;
        const char *name;
        uint64_t chars, bytes;
    } CASES[] = {
        {CAR_AUTH_OPEN, "open", 2048, 1 << 20},
        {CAR_AUTH_TOKEN, "token", 1, 1},
        {CAR_AUTH_KEY, "key", 1 << 30, (uint64_t)1 << 40},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char head[4096];
        api.auth = (struct car_auth){.mode = CASES[i].mode};
        config = (struct car_config){.max_message_chars = (unsigned)CASES[i].chars, .max_body_bytes = CASES[i].bytes};
        json_t *is = ask(head, sizeof head);
        json_t *wanted = json_pack("{s:s,s:I,s:I}", "auth", CASES[i].name, "max_message_chars",
                                   (json_int_t)CASES[i].chars, "max_body_bytes", (json_int_t)CASES[i].bytes);
        CU_ASSERT(json_equal(is, wanted));
        CU_ASSERT_EQUAL(strncmp(head, "HTTP/1.1 200 ", 13), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(head, "\r\nContent-Type: application/json"));
        CU_ASSERT_PTR_NOT_NULL(strstr(head, "\r\nCache-Control: no-store")); /* it is another's after a restart */
        json_decref(is);
        json_decref(wanted);
    }
}

static const struct car_test TESTS[] = {
    {"what is told", test_what_is_told},
};

int main(void) {
    return car_suite_main("settings", TESTS, sizeof TESTS / sizeof *TESTS);
}
