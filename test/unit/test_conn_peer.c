#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/address.h"
#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/net/conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/net/response.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

/* Two workers whose loops the test turns by hand, and a connection over TCP that begins on the first. The application
 * moves a request to the worker that its path names, holds it where that is "/h", and answers with whom it is from. */
enum { WORKERS = 2 };

#define HEADER_V4   "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\x00\x02\x01\xC6\x33\x64\x02\x12\x67\x1F\x90"
#define HEADER_OWN  "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
#define GET(path)   "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define SEND(bytes) send_bytes((bytes), sizeof(bytes) - 1)

static uint32_t request_ms = 60000;

static struct {
    struct car_reclaim *reclaim;
    struct car_worker *workers[WORKERS];
    struct car_net net;
    struct car_cidr trusted;
    int peer;
    unsigned begun, refused;
    int last; /* what the last request was told who asked for its peer */
    bool asks_early;
    struct car_exchange *held;
    struct car_buf got;
} t;

static int on_begin(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    unsigned wanted = (unsigned)(req->path.ptr[1] - '0');
    struct car_address peer;
    (void)app;
    (void)why;
    t.begun++;
    if (t.asks_early) {
        CU_ASSERT_EQUAL(car_exchange_peer(exchange, &peer), 0);
    }
    if (wanted < WORKERS && wanted != exchange->worker->id) {
        CU_ASSERT_TRUE(car_exchange_move(exchange, req, t.workers[wanted]));
    }
    return 0;
}

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_buf body = CAR_BUF_INIT;
    struct car_address peer;
    char text[CAR_ADDRESS_TEXT] = "nobody";
    (void)app;
    if (req->path.ptr[1] == 'h') {
        t.held = exchange;
        return;
    }
    t.last = car_exchange_peer(exchange, &peer);
    if (!t.last) {
        car_address_write(&peer, text);
    }
    car_buf_printf(&body, "<%u %s>", exchange->worker->id, text);
    car_respond(exchange, &(struct car_response){.status = 200, .body = car_buf_view(&body)});
    car_buf_free(&body);
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    (void)app;
    (void)why;
    t.refused++;
    car_respond(exchange, &(struct car_response){.status = status});
}

static const struct car_http_app APP = {.begin = on_begin, .request = on_request, .refuse = on_refuse};

static void turn(unsigned times) {
    while (times--) {
        for (unsigned i = 0; i < WORKERS; i++) {
            uv_run(&t.workers[i]->loop, UV_RUN_NOWAIT);
        }
    }
}

static void send_bytes(const char *bytes, size_t len) {
    CU_ASSERT_EQUAL(send(t.peer, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads what is there, behind what was read before. Returns whether the connection has ended. */
static bool read_all(void) {
    char bytes[4096];
    for (;;) {
        ssize_t n = recv(t.peer, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n <= 0) {
            car_buf_char(&t.got, '\0');
            t.got.len--;
            return n == 0 || errno != EAGAIN;
        }
        car_buf_put(&t.got, bytes, (size_t)n);
    }
}

/* Turns the loops until the text has arrived, or the connection has ended; whether it has arrived. */
static bool told(const char *text) {
    for (unsigned i = 0; i < 2000; i++) {
        turn(1);
        bool over = read_all();
        if (strstr(t.got.data, text) || over) {
            break;
        }
        usleep(1000);
    }
    return strstr(t.got.data, text) != NULL;
}

static bool ends_untold(void) {
    return !told("HTTP/1.1") && read_all() && t.got.len == 0;
}

/* Both ends of a connection over the loopback of IPv4. */
static void connect_both(int ends[2]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(ends[1], (struct sockaddr *)&address, sizeof address), 0);
    ends[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CU_ASSERT_FATAL(ends[0] >= 0);
    close(listener);
}

/* `trusted` NULL: there is no PROXY protocol. */
static void set_up_on(const char *trusted, bool tcp) {
    int ends[2];
    memset(&t, 0, sizeof t);
    t.net = (struct car_net){.app = &APP,
                             .max_body = 1000,
                             .request_timeout_ms = request_ms,
                             .idle_timeout_ms = 60000,
                             .workers = t.workers};
    if (trusted) {
        CU_ASSERT_EQUAL_FATAL(car_cidr_parse(car_span_cstr(trusted), &t.trusted), 0);
        t.net.trusted = &t.trusted;
        t.net.trusted_count = 1;
        t.net.proxy_protocol = true;
    }
    t.reclaim = car_reclaim_new();
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.workers[i], i, t.reclaim), 0);
        CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.workers[i]), 0);
        t.net.worker_count++;
    }
    if (tcp) {
        connect_both(ends);
    } else {
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    }
    t.peer = ends[1];
    atomic_store(&t.workers[0]->connections, 1);
    car_http_conn_open(t.workers[0], ends[0], false);
}

static void set_up(const char *trusted) {
    set_up_on(trusted, true);
}

static void tear_down(void) {
    for (unsigned i = 0; i < WORKERS; i++) {
        car_net_abort(t.workers[i]);
    }
    turn(2);
    for (unsigned i = 0; i < WORKERS; i++) {
        car_worker_join(t.workers[i]);
    }
    CU_ASSERT_EQUAL(car_net_left(&t.net), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        car_net_detach(t.workers[i]);
        car_worker_close(&t.workers[i]);
    }
    close(t.peer);
    car_buf_free(&t.got);
    car_reclaim_free(&t.reclaim);
}

static void test_socket(void) {
    set_up(NULL);
    SEND(GET("/0") GET("/0"));
    CU_ASSERT_TRUE(told("<0 127.0.0.1>"));
    tear_down();
}

static void test_no_address(void) {
    set_up_on(NULL, false);
    SEND(GET("/0"));
    CU_ASSERT_TRUE(told("<0 nobody>"));
    tear_down();
    set_up_on("0.0.0.0/0", false); /* and it is nobody's proxy */
    SEND(GET("/0"));
    CU_ASSERT_TRUE(told("<0 nobody>"));
    tear_down();
}

static void test_header(void) {
    set_up("127.0.0.0/8");
    SEND(HEADER_V4 GET("/0"));
    CU_ASSERT_TRUE(told("<0 192.0.2.1>"));
    t.got.len = 0;
    SEND(GET("/0"));
    CU_ASSERT_TRUE(told("<0 192.0.2.1>"));
    CU_ASSERT_EQUAL(t.begun, 2);
    tear_down();
}

static void test_own(void) {
    set_up("127.0.0.0/8");
    SEND(HEADER_OWN GET("/0"));
    CU_ASSERT_TRUE(told("<0 127.0.0.1>"));
    tear_down();
}

/* In pieces of every size, with the request's own bytes among them. */
static void test_pieces(void) {
    static const char ALL[] = HEADER_V4 GET("/0");
    for (size_t size = 1; size < sizeof ALL; size += size < 40 ? 1 : 7) {
        set_up("127.0.0.1");
        for (size_t at = 0; at < sizeof ALL - 1; at += size) {
            size_t left = sizeof ALL - 1 - at;
            send_bytes(ALL + at, left < size ? left : size);
            turn(2);
        }
        CU_ASSERT_TRUE(told("<0 192.0.2.1>"));
        tear_down();
    }
}

/* A trusted proxy has to send it; nothing is answered where it is none. */
static void test_malformed(void) {
    set_up("127.0.0.0/8");
    SEND(GET("/0"));
    CU_ASSERT_TRUE(ends_untold());
    tear_down();
    set_up("127.0.0.0/8");
    SEND("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" GET("/0"));
    CU_ASSERT_TRUE(ends_untold());
    tear_down();
    set_up("127.0.0.0/8");
    SEND("\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF" GET("/0"));
    CU_ASSERT_TRUE(ends_untold());
    CU_ASSERT_EQUAL(t.begun + t.refused, 0);
    tear_down();
}

/* Once only: the next one is no request. */
static void test_twice(void) {
    set_up("127.0.0.0/8");
    SEND(HEADER_V4 HEADER_V4 GET("/0"));
    CU_ASSERT_TRUE(told("400"));
    CU_ASSERT_EQUAL(t.begun, 0);
    tear_down();
}

/* Others are served as they are, and are not believed. */
static void test_untrusted(void) {
    set_up("10.0.0.0/8");
    SEND(GET("/0"));
    CU_ASSERT_TRUE(told("<0 127.0.0.1>"));
    tear_down();
    set_up("10.0.0.0/8");
    SEND(HEADER_V4 GET("/0"));
    CU_ASSERT_TRUE(told("400"));
    CU_ASSERT_EQUAL(t.begun, 0);
    tear_down();
    set_up(NULL);
    SEND(HEADER_V4 GET("/0"));
    CU_ASSERT_TRUE(told("400"));
    tear_down();
}

/* Over the request's time: closed without an answer, though the bytes go on. */
static void test_late(void) {
    request_ms = 10;
    set_up("127.0.0.0/8");
    SEND("\r\n\r\n\0\r\nQUIT\n\x20\0\x10\0");
    unsigned sent = 0;
    while (sent < 4000 && !read_all()) {
        (void)!send(t.peer, ".", 1, MSG_NOSIGNAL);
        sent++;
        turn(1);
        usleep(1000);
    }
    CU_ASSERT_TRUE(sent < 4000);
    CU_ASSERT_EQUAL(t.got.len, 0);
    CU_ASSERT_EQUAL(t.begun + t.refused, 0);
    tear_down();
    request_ms = 60000;
}

static void test_gone(void) {
    set_up("127.0.0.0/8");
    send_bytes(HEADER_V4, 20);
    turn(2);
    shutdown(t.peer, SHUT_WR);
    CU_ASSERT_TRUE(ends_untold());
    tear_down();
}

/* The other worker knows it as well, whether it was asked for before or not, and asks for no second header. */
static void test_moves(void) {
    for (unsigned early = 0; early < 2; early++) {
        set_up("127.0.0.0/8");
        t.asks_early = early;
        SEND(HEADER_V4 GET("/1"));
        CU_ASSERT_TRUE(told("<1 192.0.2.1>"));
        SEND(GET("/0"));
        CU_ASSERT_TRUE(told("<0 192.0.2.1>"));
        tear_down();
        set_up(NULL);
        t.asks_early = early;
        SEND(GET("/1"));
        CU_ASSERT_TRUE(told("<1 127.0.0.1>"));
        tear_down();
    }
}

/* What came before a reset can be read, but the socket does not say any more from whom: it is nobody's request, and
 * where a header may be due it is not read at all. */
static void test_reset(void) {
    static const struct linger AT_ONCE = {.l_onoff = 1};
    for (unsigned proxied = 0; proxied < 2; proxied++) {
        int ends[2];
        set_up(proxied ? "10.0.0.0/8" : NULL);
        connect_both(ends);
        CU_ASSERT_TRUE(send(ends[1], GET("/0"), sizeof GET("/0") - 1, MSG_NOSIGNAL) > 0);
        CU_ASSERT_EQUAL(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &AT_ONCE, sizeof AT_ONCE), 0);
        close(ends[1]);
        t.last = 0;
        atomic_fetch_add(&t.workers[0]->connections, 1);
        car_http_conn_open(t.workers[0], ends[0], false);
        turn(2);
        CU_ASSERT_EQUAL(t.last, proxied ? 0 : CAR_ECLOSED);
        CU_ASSERT_EQUAL(t.begun, !proxied);
        tear_down();
    }
}

/* Its descriptor may be another connection's by then. */
static void test_closed_connection(void) {
    struct car_address peer;
    set_up(NULL);
    SEND(GET("/h"));
    for (unsigned i = 0; i < 2000 && !t.held; i++) {
        turn(1);
        usleep(1000);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.held);
    int fd = t.held->conn->watch.fd;
    car_conn_close(t.held->conn);
    CU_ASSERT_EQUAL_FATAL(dup2(t.peer, fd), fd);
    CU_ASSERT_EQUAL(car_exchange_peer(t.held, &peer), CAR_ECLOSED);
    close(fd);
    turn(2);
    CU_ASSERT_PTR_NULL(t.held->conn);
    CU_ASSERT_EQUAL(car_exchange_peer(t.held, &peer), CAR_ECLOSED);
    car_exchange_abort(t.held);
    tear_down();
}

static const struct car_test TESTS[] = {
    {"socket", test_socket},
    {"no address", test_no_address},
    {"header", test_header},
    {"own", test_own},
    {"pieces", test_pieces},
    {"malformed", test_malformed},
    {"twice", test_twice},
    {"untrusted", test_untrusted},
    {"late", test_late},
    {"gone", test_gone},
    {"moves", test_moves},
    {"reset", test_reset},
    {"closed connection", test_closed_connection},
};

int main(void) {
    return car_suite_main("conn_peer", TESTS, sizeof TESTS / sizeof *TESTS);
}
