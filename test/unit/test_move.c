#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/buf.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/net/response.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

/* Two workers whose loops the test turns by hand, and a connection that begins on the first. The application moves a
 * request to the worker that its path names ("/1"), and answers with who answers and what it was asked. */
enum { WORKERS = 2 };

static struct {
    struct car_reclaim *reclaim;
    struct car_worker *workers[WORKERS];
    struct car_net net;
    int peer;
    unsigned begun[WORKERS];
    unsigned refused;
    bool turned_away;
    bool joined[WORKERS];
    struct car_buf got;
} t;

static unsigned wanted_by(const struct car_http_request *req) {
    return (unsigned)(req->path.ptr[1] - '0');
}

static int on_begin(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    (void)app;
    (void)why;
    unsigned wanted = wanted_by(req);
    t.begun[exchange->worker->id]++;
    if (wanted < WORKERS && wanted != exchange->worker->id) {
        CU_ASSERT_NOT_EQUAL(car_exchange_move(exchange, req, t.workers[wanted]), t.turned_away);
    }
    return 0;
}

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    static char big[200000]; /* less than what a connection is still read with, more than the socket takes */
    (void)app;
    unsigned wanted = wanted_by(req);
    struct car_buf body = CAR_BUF_INIT;
    CU_ASSERT_TRUE(wanted >= WORKERS || wanted == exchange->worker->id);
    car_buf_printf(&body, "<%u ", exchange->worker->id);
    for (size_t i = 0; i < req->header_count; i++) {
        car_buf_span(&body, req->headers[i].name);
        car_buf_char(&body, '=');
        car_buf_span(&body, req->headers[i].value);
        car_buf_char(&body, ' ');
    }
    car_buf_span(&body, req->body);
    car_buf_char(&body, '>');
    if (wanted >= WORKERS) {
        memset(big, '.', sizeof big);
        car_buf_put(&body, big, sizeof big);
    }
    car_respond(exchange, &(struct car_response){.status = 200, .body = car_buf_view(&body)});
    car_buf_free(&body);
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    (void)app;
    (void)why;
    t.refused++;
    CU_ASSERT_EQUAL(status, t.turned_away ? 503 : 413);
    CU_ASSERT_EQUAL(exchange->worker->id, !t.turned_away);
    car_respond(exchange, &(struct car_response){.status = status});
}

static const struct car_http_app APP = {.begin = on_begin, .request = on_request, .refuse = on_refuse};

static void turn_one(unsigned id) {
    if (!t.joined[id]) {
        uv_run(&t.workers[id]->loop, UV_RUN_NOWAIT);
    }
}

static void turn(unsigned times) {
    while (times--) {
        for (unsigned i = 0; i < WORKERS; i++) {
            turn_one(i);
        }
    }
}

static unsigned count_of(unsigned id) {
    return atomic_load(&t.workers[id]->connections);
}

static void send_text(const char *text) {
    CU_ASSERT_EQUAL(send(t.peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads what is there, behind what was read before. Returns whether the connection has ended. */
static bool read_all(void) {
    static char bytes[1 << 16];
    for (;;) {
        ssize_t n = recv(t.peer, bytes, sizeof bytes, 0);
        if (n <= 0) {
            car_buf_char(&t.got, '\0');
            t.got.len--;
            return n == 0 || errno != EAGAIN;
        }
        car_buf_put(&t.got, bytes, (size_t)n);
    }
}

/* The bodies of the answers so far: what stands between < and >. */
static const char *bodies(void) {
    static char text[4096];
    size_t len = 0;
    read_all();
    bool inside = false;
    for (size_t i = 0; i < t.got.len && len < sizeof text - 1; i++) {
        inside = inside || t.got.data[i] == '<';
        if (inside) {
            text[len++] = t.got.data[i];
        }
        inside = inside && t.got.data[i] != '>';
    }
    text[len] = '\0';
    return text;
}

static void set_up_with(bool turned_away) {
    int ends[2];
    memset(&t, 0, sizeof t);
    t.turned_away = turned_away;
    t.net = (struct car_net){
        .app = &APP, .max_body = 1000, .request_timeout_ms = 60000, .idle_timeout_ms = 60000, .workers = t.workers};
    t.reclaim = car_reclaim_new();
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.workers[i], i, t.reclaim), 0);
        CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.workers[i]), 0);
        t.net.worker_count++;
    }
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    CU_ASSERT_EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int)), 0);
    t.peer = ends[1];
    atomic_store(&t.workers[0]->connections, 1);
    atomic_store(&t.workers[0]->turned_away, turned_away);
    car_http_conn_open(t.workers[0], ends[0], turned_away);
}

static void set_up(void) {
    set_up_with(false);
}

/* Stops the workers as the server does, so that what is still in a mailbox runs. */
static void tear_down(void) {
    for (unsigned i = 0; i < WORKERS; i++) {
        if (!t.joined[i]) {
            car_net_abort(t.workers[i]);
        }
    }
    turn(2);
    for (unsigned i = 0; i < WORKERS; i++) {
        if (!t.joined[i]) {
            car_worker_join(t.workers[i]);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL(count_of(i), 0);
    }
    CU_ASSERT_TRUE(read_all()); /* its descriptor is closed */
    for (unsigned i = 0; i < WORKERS; i++) {
        car_net_detach(t.workers[i]);
        car_worker_close(&t.workers[i]);
    }
    close(t.peer);
    car_buf_free(&t.got);
    car_reclaim_free(&t.reclaim);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_begins_anew(void) {
    set_up();
    send_text(GET("/1"));
    for (unsigned i = 0; i < 8; i++) {
        turn_one(i % WORKERS);
        CU_ASSERT_TRUE(car_net_left(&t.net) > 0);
    }
    CU_ASSERT_STRING_EQUAL(bodies(), "<1 Host=x >");
    CU_ASSERT_EQUAL(t.begun[0], 1);
    CU_ASSERT_EQUAL(t.begun[1], 1);
    CU_ASSERT_EQUAL(count_of(0), 0);
    CU_ASSERT_EQUAL(count_of(1), 1);
    CU_ASSERT_EQUAL(atomic_load(&t.net.moves), 1);
    tear_down();
}

/* Answers before it, the request with its headers and its body, and what stands behind it: all of them, in order. */
static void test_pipeline(void) {
    set_up();
    send_text(GET("/0") "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nX-Own:  a b \r\n\r\nbody" GET("/1")
                  GET("/0") "GET /1 HTTP/1.1\r\nHo");
    turn(8);
    CU_ASSERT_STRING_EQUAL(bodies(), "<0 Host=x ><1 Host=x Content-Length=4 X-Own=a b body><1 Host=x ><0 Host=x >");
    send_text("st: y\r\n\r\n");
    turn(4);
    CU_ASSERT_STRING_EQUAL(bodies(),
                           "<0 Host=x ><1 Host=x Content-Length=4 X-Own=a b body><1 Host=x ><0 Host=x ><1 Host=y >");
    CU_ASSERT_EQUAL(count_of(0), 0);
    CU_ASSERT_EQUAL(count_of(1), 1);
    tear_down();
}

/* Byte by byte: the connection leaves when the head is whole, and its body follows it. */
static void test_byte_wise(void) {
    static const char TEXT[] = "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" GET("/0");
    set_up();
    for (size_t i = 0; i < sizeof TEXT - 1; i++) {
        char byte[2] = {TEXT[i], '\0'};
        send_text(byte);
        turn(2);
    }
    turn(4);
    CU_ASSERT_STRING_EQUAL(bodies(), "<1 Host=x Transfer-Encoding=chunked abcde><0 Host=x >");
    CU_ASSERT_EQUAL(t.begun[0], 2);
    CU_ASSERT_EQUAL(t.begun[1], 2);
    tear_down();
}

/* Leave to send the body is given once, and before the answer. */
static void test_continue(void) {
    set_up();
    send_text("POST /1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    turn(4);
    CU_ASSERT_FALSE(read_all());
    CU_ASSERT_STRING_EQUAL(t.got.data, "HTTP/1.1 100 Continue\r\n\r\n");
    send_text("ok");
    turn(4);
    CU_ASSERT_STRING_EQUAL(bodies(), "<1 Host=x Expect=100-continue Content-Length=2 ok>");
    CU_ASSERT_PTR_NULL(strstr(t.got.data + strlen("HTTP/1.1 100 Continue"), "100 Continue"));
    tear_down();
}

/* The body comes with its request: leave to send it, which waits to be written, goes first all the same. */
static void test_continue_that_is_late(void) {
    set_up();
    send_text("POST /1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok");
    turn(5);
    CU_ASSERT_STRING_EQUAL(bodies(), "<1 Host=x Expect=100-continue Content-Length=2 ok>");
    CU_ASSERT_EQUAL(strncmp(t.got.data, "HTTP/1.1 100", 12), 0);
    tear_down();
}

/* What waits for the peer goes out before the connection leaves, and what the peer sends meanwhile travels too. */
static void test_slow_peer(void) {
    set_up();
    send_text(GET("/9") GET("/1"));
    turn(4);
    CU_ASSERT_EQUAL(t.begun[1], 0);
    CU_ASSERT_EQUAL(count_of(0), 1);
    send_text(GET("/0"));
    turn(2);
    for (unsigned i = 0; i < 100 && t.begun[1] == 0; i++) {
        CU_ASSERT_FALSE(read_all());
        turn(2);
    }
    turn(6);
    CU_ASSERT_STRING_EQUAL(bodies(), "<0 Host=x ><1 Host=x ><0 Host=x >");
    tear_down();
}

/* A peer that takes nothing does not hold the connection between two workers. */
static void test_stuck_peer(void) {
    set_up();
    t.net.idle_timeout_ms = 30;
    send_text(GET("/9") GET("/1"));
    for (unsigned i = 0; i < 1000 && count_of(0) > 0; i++) {
        turn(1);
        usleep(5000);
    }
    CU_ASSERT_EQUAL(count_of(0), 0);
    CU_ASSERT_EQUAL(t.begun[1], 0);
    CU_ASSERT_EQUAL(atomic_load(&t.net.moves), 0);
    tear_down();
}

/* Whoever has closed its side by then is answered, and the end is noticed on the other side. */
static void test_half_closed(void) {
    set_up();
    send_text(GET("/1") GET("/0") GET("/1"));
    shutdown(t.peer, SHUT_WR);
    turn(10);
    CU_ASSERT_STRING_EQUAL(bodies(), "<1 Host=x ><0 Host=x ><1 Host=x >");
    CU_ASSERT_TRUE(read_all());
    CU_ASSERT_EQUAL(car_net_left(&t.net), 0);
    tear_down();
}

/* The last request of a connection is the last one there, too. */
static void test_last_request(void) {
    set_up();
    send_text("GET /1 HTTP/1.0\r\n\r\n");
    turn(4);
    CU_ASSERT_STRING_EQUAL(bodies(), "<1 >");
    CU_ASSERT_PTR_NOT_NULL(strstr(t.got.data, "Connection: close"));
    CU_ASSERT_TRUE(read_all());
    tear_down();
}

/* The request fills the limits where it arrived: it is not refused where it goes. */
static void test_at_the_limit(void) {
    struct car_buf text = CAR_BUF_INIT;
    set_up();
    CAR_BUF_LIT(&text, "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
    for (unsigned i = 0; i < 1000; i++) {
        car_buf_char(&text, 'b');
    }
    CAR_BUF_LIT(&text, "\r\n0\r\n\r\n");
    car_buf_char(&text, '\0');
    send_text(text.data);
    turn(4);
    CU_ASSERT_EQUAL(t.refused, 0);
    CU_ASSERT_EQUAL(strncmp(bodies(), "<1 Host=x Transfer-Encoding=chunked bbb", 39), 0);
    car_buf_free(&text);
    tear_down();
}

/* The request is over the limits: it is refused once, where it goes. */
static void test_over_the_limit(void) {
    set_up();
    send_text("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\nbody");
    turn(4);
    CU_ASSERT_EQUAL(t.begun[0], 1);
    CU_ASSERT_EQUAL(t.begun[1], 1);
    CU_ASSERT_EQUAL(t.refused, 1);
    CU_ASSERT_STRING_EQUAL(bodies(), "");
    tear_down();
}

/* Who has come over the limit of connections does not move. */
static void test_turned_away(void) {
    set_up_with(true);
    send_text(GET("/1"));
    turn(4);
    CU_ASSERT_EQUAL(t.begun[1], 0);
    CU_ASSERT_EQUAL(t.refused, 1);
    tear_down();
}

/* The peer goes while its request moves. */
static void test_gone_on_the_way(void) {
    set_up();
    send_text("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
    turn_one(0);
    shutdown(t.peer, SHUT_RDWR);
    turn(6);
    CU_ASSERT_EQUAL(t.begun[1], 1);
    CU_ASSERT_EQUAL(t.refused, 0);
    CU_ASSERT_EQUAL(car_net_left(&t.net), 0);
    tear_down();
}

/* On its way while the server drains: answered, and over. */
static void test_drained_on_the_way(void) {
    set_up();
    send_text(GET("/1"));
    turn_one(0);
    turn_one(0);
    CU_ASSERT_EQUAL(t.begun[0], 1);
    CU_ASSERT_EQUAL(count_of(1), 1); /* counted, though it has not arrived */
    car_net_drain(t.workers[0], 0);
    car_net_drain(t.workers[1], 0);
    turn(6);
    CU_ASSERT_STRING_EQUAL(bodies(), "<1 Host=x >");
    CU_ASSERT_PTR_NOT_NULL(strstr(t.got.data, "Connection: close"));
    CU_ASSERT_TRUE(read_all());
    tear_down();
}

/* On its way while everything is closed: it is closed where it arrives. */
static void test_aborted_on_the_way(void) {
    set_up();
    send_text(GET("/1"));
    turn_one(0);
    turn_one(0);
    CU_ASSERT_EQUAL(count_of(1), 1);
    CU_ASSERT_FALSE(read_all());
    car_net_abort(t.workers[0]);
    car_net_abort(t.workers[1]);
    turn(3);
    CU_ASSERT_EQUAL(t.begun[1], 0);
    CU_ASSERT_EQUAL(car_net_left(&t.net), 0);
    CU_ASSERT_TRUE(read_all());
    tear_down();
}

/* The same where the worker's loop does not turn any more: its mailbox runs what is inside when it closes. */
static void test_aborted_in_the_mailbox(void) {
    set_up();
    send_text(GET("/1"));
    turn_one(0);
    turn_one(0);
    CU_ASSERT_EQUAL(count_of(1), 1);
    car_net_abort(t.workers[1]);
    car_worker_join(t.workers[1]); /* it was never started: stops it here */
    t.joined[1] = true;
    CU_ASSERT_EQUAL(count_of(1), 0);
    CU_ASSERT_TRUE(read_all());
    tear_down();
}

/* Waiting to leave while everything is closed. */
static void test_aborted_before(void) {
    set_up();
    send_text(GET("/9") GET("/1"));
    turn(4);
    CU_ASSERT_EQUAL(count_of(0), 1);
    tear_down();
    CU_ASSERT_EQUAL(t.begun[1], 0);
}

static int begin_own(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    (void)app;
    (void)why;
    CU_ASSERT_FALSE(car_exchange_move(exchange, req, exchange->worker));
    return 0;
}

static void on_own(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    (void)req;
    car_respond(exchange, &(struct car_response){.status = 200, .body = CAR_SPAN("<stays>")});
}

/* Nothing has happened where there is nowhere to go. */
static void test_own_worker(void) {
    static const struct car_http_app OWN = {.begin = begin_own, .request = on_own, .refuse = on_refuse};
    set_up();
    t.net.app = &OWN;
    send_text(GET("/0") GET("/0"));
    turn(3);
    CU_ASSERT_STRING_EQUAL(bodies(), "<stays><stays>");
    CU_ASSERT_EQUAL(count_of(0), 1);
    CU_ASSERT_EQUAL(atomic_load(&t.net.moves), 0);
    tear_down();
}

static const struct car_test TESTS[] = {
    {"begins anew on the other worker", test_begins_anew},
    {"within a pipeline", test_pipeline},
    {"chunked, byte by byte", test_byte_wise},
    {"100 Continue", test_continue},
    {"100 Continue that nobody waits for", test_continue_that_is_late},
    {"a slow peer", test_slow_peer},
    {"a peer that takes nothing", test_stuck_peer},
    {"a peer that has closed its side", test_half_closed},
    {"the last request of a connection", test_last_request},
    {"a request at the limit", test_at_the_limit},
    {"a request over the limit", test_over_the_limit},
    {"turned away", test_turned_away},
    {"gone on the way", test_gone_on_the_way},
    {"drained on the way", test_drained_on_the_way},
    {"aborted on the way", test_aborted_on_the_way},
    {"aborted in the mailbox", test_aborted_in_the_mailbox},
    {"aborted before", test_aborted_before},
    {"its own worker", test_own_worker},
};

int main(void) {
    return car_suite_main("move", TESTS, sizeof TESTS / sizeof *TESTS);
}
