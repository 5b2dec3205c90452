#include "carillon/net/response.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

/* What one request is answered with, to the byte. The worker's loop is turned by hand. */
static struct {
    struct car_response response;
    const char *lines; /* that go with every answer of the exchange */
    char got[4096];
    bool ended; /* the connection, behind the answer */
} t;

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    (void)req;
    if (t.lines) {
        car_buf_span(&exchange->headers, car_span_cstr(t.lines));
    }
    car_respond(exchange, &t.response);
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    (void)app;
    (void)why;
    car_respond(exchange, &(struct car_response){.status = status});
}

static const struct car_http_app APP = {.request = on_request, .refuse = on_refuse};

static const char *ask(const char *request, const struct car_response *response, const char *lines) {
    struct car_net net = {.app = &APP, .request_timeout_ms = 60000, .idle_timeout_ms = 60000};
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_worker *worker = NULL;
    int ends[2];
    memset(&t, 0, sizeof t);
    t.response = *response;
    t.lines = lines;
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 0, reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&net, worker), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    CU_ASSERT_EQUAL(send(ends[1], request, strlen(request), 0), (ssize_t)strlen(request));
    atomic_store(&worker->connections, 1);
    car_http_conn_open(worker, ends[0], false);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&worker->loop, UV_RUN_NOWAIT);
    }
    ssize_t n = recv(ends[1], t.got, sizeof t.got - 1, 0);
    t.got[n > 0 ? n : 0] = '\0';
    char more;
    t.ended = recv(ends[1], &more, 1, 0) == 0;
    car_net_abort(worker);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&worker->loop, UV_RUN_NOWAIT);
    }
    CU_ASSERT_EQUAL(atomic_load(&worker->connections), 0);
    close(ends[1]);
    car_worker_join(worker);
    car_net_detach(worker);
    car_worker_close(&worker);
    car_reclaim_free(&reclaim);
    return t.got;
}

#define GET       "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEAD      "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define GET_10    "GET / HTTP/1.0\r\n\r\n"
#define GET_10_ON "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

static void test_plain(void) {
    struct car_response r = {.status = 200, .type = "text/plain", .body = CAR_SPAN("hello")};
    CU_ASSERT_STRING_EQUAL(ask(GET, &r, NULL),
                           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    CU_ASSERT_FALSE(t.ended);
}

static void test_without_content(void) {
    struct car_response r = {.status = 404};
    CU_ASSERT_STRING_EQUAL(ask(GET, &r, NULL), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    /* These have neither content nor its length (RFC 9110, section 8.6). */
    r = (struct car_response){.status = 204, .body = CAR_SPAN("not sent")};
    CU_ASSERT_STRING_EQUAL(ask(GET, &r, NULL), "HTTP/1.1 204 No Content\r\n\r\n");
    r.status = 304;
    CU_ASSERT_STRING_EQUAL(ask(GET, &r, NULL), "HTTP/1.1 304 Not Modified\r\n\r\n");
}

/* The headers of what GET would get, its length among them where that is known. */
static void test_head(void) {
    struct car_response r = {.status = 200, .body = CAR_SPAN("hello")};
    CU_ASSERT_STRING_EQUAL(ask(HEAD, &r, NULL), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    r = (struct car_response){.status = 200, .type = "text/event-stream", .endless = true};
    CU_ASSERT_STRING_EQUAL(ask(HEAD, &r, NULL), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
}

/* The answer's own lines, then those of the exchange. */
static void test_lines(void) {
    struct car_response r = {.status = 200, .headers = "A: 1\r\nB: 2\r\n"};
    CU_ASSERT_STRING_EQUAL(ask(GET, &r, "C: 3\r\n"),
                           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
}

/* Whether the connection goes on, said as the client's version wants to hear it (RFC 9112, section 9.3). */
static void test_connection(void) {
    struct car_response r = {.status = 200};
    CU_ASSERT_STRING_EQUAL(ask(GET_CLOSE, &r, NULL),
                           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CU_ASSERT_TRUE(t.ended);
    CU_ASSERT_STRING_EQUAL(ask(GET_10, &r, NULL), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CU_ASSERT_TRUE(t.ended);
    CU_ASSERT_STRING_EQUAL(ask(GET_10_ON, &r, NULL),
                           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    CU_ASSERT_FALSE(t.ended);
}

/* A tenant's bytes go to whoever asked as that tenant, and to nobody else. */
static const int ALICE;

static void test_owner(void) {
    struct car_response r = {.status = 200, .body = CAR_SPAN("hers"), .owner = &ALICE};
    CU_ASSERT_STRING_EQUAL(ask(GET, &r, NULL), "");
    CU_ASSERT_TRUE(t.ended);
}

static const struct car_test TESTS[] = {
    {"with content", test_plain}, {"without content", test_without_content}, {"HEAD", test_head},
    {"header lines", test_lines}, {"the connection", test_connection},       {"whose bytes", test_owner},
};

int main(void) {
    return car_suite_main("response", TESTS, sizeof TESTS / sizeof *TESTS);
}
