#include "carillon/net/arrivals.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

#define MANY   100
#define A_TURN 32

/* A worker whose loop the test turns by hand, and both ends of the sockets that it is dealt. */
static struct {
    struct car_reclaim *reclaim;
    struct car_worker *worker;
    struct car_net net;
    struct car_arrivals *arrivals;
    int peer[MANY];
} t;

static void turn(unsigned times) {
    while (times--) {
        uv_run(&t.worker->loop, UV_RUN_NOWAIT);
    }
}

static unsigned open_connections(void) {
    unsigned n = 0;
    for (struct car_conn *conn = car_net_local(t.worker)->conns; conn; conn = conn->next) {
        n += !conn->closing;
    }
    return n;
}

static void set_up(void) {
    t.net = (struct car_net){.request_timeout_ms = 60000, .idle_timeout_ms = 60000};
    t.reclaim = car_reclaim_new();
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.worker, 0, t.reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.worker), 0);
    t.arrivals = &car_net_local(t.worker)->arrivals;
}

static void deal(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        int ends[2];
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        t.peer[i] = ends[1];
        atomic_fetch_add(&t.worker->connections, 1);
        CU_ASSERT_TRUE(car_arrivals_put(t.arrivals, ends[0], false));
    }
}

static void tear_down(unsigned count) {
    car_net_abort(t.worker);
    turn(3);
    CU_ASSERT_EQUAL(atomic_load(&t.worker->connections), 0);
    for (unsigned i = 0; i < count; i++) {
        char byte;
        CU_ASSERT_EQUAL(recv(t.peer[i], &byte, 1, 0), 0); /* each of them was taken, and closed */
        close(t.peer[i]);
    }
    car_worker_join(t.worker);
    car_net_detach(t.worker);
    car_worker_close(&t.worker);
    car_reclaim_free(&t.reclaim);
}

static void test_announced(void) {
    set_up();
    deal(3);
    turn(2);
    CU_ASSERT_EQUAL(open_connections(), 0); /* nobody has said so yet */
    car_arrivals_announce(t.arrivals);
    car_arrivals_announce(t.arrivals);
    turn(2);
    CU_ASSERT_EQUAL(open_connections(), 3);
    tear_down(3);
}

/* However many come, the worker looks round in between, and none is left behind. */
static void test_a_few_each_turn(void) {
    set_up();
    deal(MANY);
    car_arrivals_announce(t.arrivals);
    unsigned before = 0;
    for (unsigned i = 0; i < 10; i++) {
        turn(1);
        unsigned now = open_connections();
        CU_ASSERT_TRUE(now - before <= A_TURN);
        before = now;
    }
    CU_ASSERT_EQUAL(before, MANY);
    tear_down(MANY);
}

/* What has been accepted is closed with the rest. */
static void test_abort(void) {
    set_up();
    deal(MANY);
    tear_down(MANY);
}

static void test_full(void) {
    set_up();
    CU_ASSERT_FALSE(car_arrivals_is_full(t.arrivals));
    unsigned count = 0;
    int fd = -1;
    while (!car_arrivals_is_full(t.arrivals)) {
        fd = eventfd(0,
                     EFD_CLOEXEC | EFD_NONBLOCK); /* each a file of its own: a file may be in few epoll sets of sets */
        CU_ASSERT_TRUE_FATAL(car_arrivals_put(t.arrivals, fd, false));
        count++;
    }
    CU_ASSERT_EQUAL(count, 1023);
    CU_ASSERT_FALSE(car_arrivals_put(t.arrivals, fd, false));
    atomic_fetch_add(&t.worker->connections, count);
    tear_down(0);
}

static const struct car_test TESTS[] = {
    {"announced", test_announced},
    {"a few each turn", test_a_few_each_turn},
    {"abort", test_abort},
    {"full", test_full},
};

int main(void) {
    return car_suite_main("arrivals", TESTS, sizeof TESTS / sizeof *TESTS);
}
