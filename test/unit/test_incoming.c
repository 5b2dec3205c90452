#include "net/incoming.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/net/conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/proto/http.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "net/hoard.h"

#include "suite.h"

#define TIMEOUT_MS 5000
#define HEAD       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

/* What comes in over a connection whose protocol is the test. */
static struct {
    struct car_reclaim *reclaim;
    struct car_worker *worker;
    struct car_net net;
    struct car_conn *conn;
    int peer;
    struct car_incoming incoming;
    struct car_exchange exchange;
    bool has_head;
    bool whole;
    unsigned asked;
    const void *whose; /* as the application says */
    ptrdiff_t counted; /* bytes, of all owners */
    const void *counted_for;
    bool fits;
} t;

static const char tenant, other;

static const void *whose(void *app, const struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    CU_ASSERT_PTR_EQUAL(exchange, &t.exchange);
    CU_ASSERT_EQUAL(req->verb, CAR_HTTP_POST);
    t.asked++;
    return t.whose;
}

static const struct car_http_app APP = {.whose = whose};

static struct car_flow *flow(struct car_worker *worker, const void *owner) {
    (void)owner;
    return &worker->tasks.common;
}

static void kept(struct car_worker *worker, const void *owner, ptrdiff_t change) {
    (void)worker;
    t.counted += change;
    t.counted_for = owner;
}

static bool sheds(struct car_worker *worker, const void *owner, uint64_t age_ms, bool input) {
    (void)worker;
    (void)owner;
    (void)age_ms;
    (void)input;
    return false;
}

static bool fits(struct car_worker *worker, const void *owner, size_t bytes) {
    (void)worker;
    CU_ASSERT_PTR_EQUAL(owner, &tenant);
    CU_ASSERT(bytes >= CAR_HOARD_MIN);
    return t.fits;
}

static const struct car_net_owners OWNERS = {.flow = flow, .kept = kept, .sheds = sheds, .fits = fits};

static int on_headers(void *user, const struct car_http_request *req) {
    (void)user;
    (void)req;
    t.has_head = true;
    car_incoming_head(&t.incoming);
    return 0;
}

static bool on_request(void *user, const struct car_http_request *req) {
    (void)user;
    (void)req;
    t.whole = true;
    t.has_head = false;
    car_incoming_whole(&t.incoming, t.conn);
    return true;
}

static const struct car_http_callbacks CALLBACKS = {.on_headers = on_headers, .on_request = on_request};

static void ignore(struct car_conn *conn) {
    (void)conn;
}

static void keeps(const struct car_conn *conn, struct car_keeping *keeping) {
    car_incoming_keeps(&t.incoming, conn, t.has_head ? &t.exchange : NULL, keeping);
}

static const struct car_conn_ops OPS = {.ended = ignore, .keeps = keeps};

static void set_up(void) {
    int ends[2];
    memset(&t, 0, sizeof t);
    t.net = (struct car_net){.app = &APP, .owners = &OWNERS, .request_timeout_ms = TIMEOUT_MS};
    t.reclaim = car_reclaim_new();
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.worker, 0, t.reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.worker), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    t.peer = ends[1];
    atomic_store(&t.worker->connections, 1);
    t.conn = car_conn_open(t.worker, ends[0], &OPS);
    t.incoming.parser = car_http_parser_new(NULL, &CALLBACKS, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.conn);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.incoming.parser);
}

static void tear_down(void) {
    car_conn_close(t.conn);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&t.worker->loop, UV_RUN_NOWAIT);
    }
    CU_ASSERT_EQUAL(atomic_load(&t.worker->connections), 0);
    CU_ASSERT_EQUAL(t.counted, 0); /* what was counted is counted off with the connection */
    car_incoming_free(&t.incoming);
    CU_ASSERT_PTR_NULL(t.incoming.parser);
    close(t.peer);
    car_worker_join(t.worker);
    car_net_detach(t.worker);
    car_worker_close(&t.worker);
    car_reclaim_free(&t.reclaim);
}

static void feed(const char *bytes, size_t len) {
    size_t consumed;
    const char *why;
    t.whole = false;
    CU_ASSERT_EQUAL(car_http_parser_feed(t.incoming.parser, bytes, len, &consumed, &why), 0);
    if (!t.whole) {
        car_incoming_wait(&t.incoming, t.conn, t.has_head ? &t.exchange : NULL);
    }
}

/* A chunk of a body that has no end yet. */
static void feed_chunk(void) {
    static char chunk[CAR_HOARD_MIN + 64];
    memcpy(chunk, "1000\r\n", 6);
    memset(chunk + 6, 'x', CAR_HOARD_MIN);
    memcpy(chunk + 6 + CAR_HOARD_MIN, "\r\n", 2);
    feed(chunk, 6 + CAR_HOARD_MIN + 2);
}

/* Its time runs from its first byte on, and no later byte gives it more. */
static void test_time(void) {
    set_up();
    feed("", 0);
    CU_ASSERT_EQUAL(t.incoming.deadline, 0);
    feed("POST", 4);
    uint64_t deadline = t.incoming.deadline;
    CU_ASSERT_EQUAL(deadline, car_conn_now(t.conn) + TIMEOUT_MS);
    CU_ASSERT_EQUAL(t.conn->wake_at, deadline);
    while (car_conn_now(t.conn) + TIMEOUT_MS == deadline) {
        uv_update_time(&t.worker->loop);
    }
    feed(HEAD + 4, sizeof HEAD - 1 - 4);
    feed("3\r\nhal", 6);
    CU_ASSERT_EQUAL(t.incoming.deadline, deadline);
    feed("\r\n0\r\n\r\n", 7);
    CU_ASSERT(t.whole);
    CU_ASSERT_EQUAL(t.incoming.deadline, 0);
    feed("G", 1); /* the next one's */
    CU_ASSERT_EQUAL(t.incoming.deadline, car_conn_now(t.conn) + TIMEOUT_MS);
    tear_down();
}

/* Little is nobody's; much is asked for once, and counts as that owner's until it is whole. */
static void test_whose(void) {
    set_up();
    t.whose = &tenant;
    feed(HEAD, sizeof HEAD - 1);
    feed("3\r\nhal\r\n", 8);
    CU_ASSERT_EQUAL(t.asked, 0);
    CU_ASSERT_PTR_NULL(t.conn->hoard);
    feed_chunk();
    CU_ASSERT_EQUAL(t.asked, 1);
    CU_ASSERT(t.counted >= CAR_HOARD_MIN);
    CU_ASSERT_PTR_EQUAL(t.counted_for, &tenant);
    ptrdiff_t before = t.counted;
    feed_chunk();
    CU_ASSERT_EQUAL(t.asked, 1);
    CU_ASSERT(t.counted >= before + CAR_HOARD_MIN);
    feed("0\r\n\r\n", 5);
    CU_ASSERT(t.whole);
    CU_ASSERT_EQUAL(t.counted, 0); /* who takes the body over counts it anew */
    CU_ASSERT_PTR_NULL(t.conn->hoard);
    feed(HEAD, sizeof HEAD - 1);
    feed_chunk();
    CU_ASSERT_EQUAL(t.asked, 2); /* of each request */
    tear_down();
}

/* What the exchange knows is not asked. */
static void test_known(void) {
    set_up();
    t.exchange.owner = &other;
    feed(HEAD, sizeof HEAD - 1);
    feed_chunk();
    CU_ASSERT_EQUAL(t.asked, 0);
    CU_ASSERT_PTR_EQUAL(t.counted_for, &other);
    tear_down();
}

static const char *give_up(int expected) {
    const char *why = NULL;
    CU_ASSERT_EQUAL(car_incoming_give_up(&t.incoming, t.conn, &why), expected);
    CU_ASSERT_PTR_NOT_NULL_FATAL(why);
    return why;
}

/* The answer says whose memory it is that is not there. */
static void test_given_up(void) {
    set_up();
    t.fits = true;
    feed(HEAD, sizeof HEAD - 1);
    feed_chunk();
    CU_ASSERT_STRING_EQUAL(give_up(503), CAR_HTTP_FULL); /* nobody's */
    tear_down();
    set_up();
    t.whose = &tenant;
    t.fits = true;
    feed(HEAD, sizeof HEAD - 1);
    feed_chunk();
    CU_ASSERT_STRING_EQUAL(give_up(503), CAR_HTTP_SHED);
    t.fits = false;
    CU_ASSERT_STRING_EQUAL(give_up(413), CAR_HTTP_TOO_MUCH);
    tear_down();
}

static const struct car_test TESTS[] = {
    {"its time", test_time},
    {"whose it is", test_whose},
    {"whose it is known to be", test_known},
    {"given up", test_given_up},
};

int main(void) {
    return car_suite_main("incoming", TESTS, sizeof TESTS / sizeof *TESTS);
}
