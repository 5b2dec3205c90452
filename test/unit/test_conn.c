#include "carillon/net/conn.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/blob.h"
#include "carillon/net/boundary.h"
#include "carillon/net/net.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

/* One connection of a worker whose loop the test turns by hand; `peer` is the other end of its socket. */
static struct {
    struct car_reclaim *reclaim;
    struct car_worker *worker;
    struct car_net net;
    struct car_conn *conn;
    int peer;
    /* what the protocol saw */
    char input[256];
    size_t input_len;
    size_t take; /* how much of each input it takes */
    unsigned eofs, drains, wakes, ends;
    size_t read_at_wake;
} t;

static size_t on_input(struct car_conn *conn, char *bytes, size_t len) {
    (void)conn;
    size_t n = len < t.take ? len : t.take;
    CU_ASSERT_TRUE_FATAL(t.input_len + n <= sizeof t.input);
    memcpy(t.input + t.input_len, bytes, n);
    t.input_len += n;
    return n;
}

static void on_eof(struct car_conn *conn) {
    (void)conn;
    t.eofs++;
}

static void on_drained(struct car_conn *conn) {
    (void)conn;
    t.drains++;
}

static void on_wake(struct car_conn *conn) {
    (void)conn;
    t.wakes++;
    t.read_at_wake = t.input_len;
}

static void on_leave(struct car_conn *conn) {
    car_conn_finish(conn);
}

static void on_ended(struct car_conn *conn) {
    (void)conn;
    t.ends++;
}

static const struct car_conn_ops OPS = {
    .input = on_input,
    .eof = on_eof,
    .drained = on_drained,
    .wake = on_wake,
    .leave = on_leave,
    .ended = on_ended,
};

static void turn(unsigned times) {
    while (times--) {
        uv_run(&t.worker->loop, UV_RUN_NOWAIT);
    }
}

static void set_up(void) {
    int ends[2];
    memset(&t, 0, sizeof t);
    t.take = SIZE_MAX;
    t.net.idle_timeout_ms = 60000;
    t.reclaim = car_reclaim_new();
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.worker, 0, t.reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.worker), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    t.peer = ends[1];
    atomic_store(&t.worker->connections, 1);
    t.conn = car_conn_open(t.worker, ends[0], &OPS);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.conn);
    car_conn_begin(t.conn);
    turn(1);
}

static void tear_down(void) {
    if (t.ends == 0) {
        car_conn_close(t.conn);
    }
    turn(2);
    CU_ASSERT_EQUAL(t.ends, 1);
    CU_ASSERT_EQUAL(atomic_load(&t.worker->connections), 0);
    close(t.peer);
    car_worker_join(t.worker);
    car_net_detach(t.worker);
    car_worker_close(&t.worker);
    car_reclaim_free(&t.reclaim);
}

static bool write_as(const void *owner, size_t len) {
    struct car_blob *blob = car_blob_new(owner, len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    memset(blob->data, 'x', len);
    bool written = car_conn_write(t.conn, blob);
    car_blob_unref(&blob);
    return written;
}

/* Reads all that is there. Returns how much; -1 for nothing yet. */
static ssize_t read_all(void) {
    static char bytes[1 << 16];
    ssize_t total = -1;
    for (;;) {
        ssize_t n = recv(t.peer, bytes, sizeof bytes, 0);
        if (n < 0) {
            return total;
        }
        total = total < 0 ? n : total + n;
        if (n == 0) {
            return total;
        }
    }
}

static const int ALICE, BOB;

static void test_boundary(void) {
    set_up();
    t.conn->owner = &ALICE;
    struct car_net_local *local = car_net_local(t.worker);
    CU_ASSERT_TRUE(write_as(&ALICE, 10));
    CU_ASSERT_TRUE(write_as(NULL, 5));
    turn(1);
    CU_ASSERT_EQUAL(read_all(), 15);
    CU_ASSERT_TRUE(write_as(&ALICE, 10));
    CU_ASSERT_FALSE(write_as(&BOB, 10));
    CU_ASSERT_FALSE(write_as(&ALICE, 10));
    turn(2);
    /* Closed as it was: not even what had been accepted before goes out. */
    CU_ASSERT_EQUAL(read_all(), 0);
    CU_ASSERT_EQUAL(atomic_load(&local->refused_writes), 1);
    CU_ASSERT_EQUAL(t.ends, 1);
    tear_down();
}

static void test_owned_bytes_want_an_owner(void) {
    set_up();
    CU_ASSERT_FALSE(write_as(&BOB, 10));
    turn(2);
    CU_ASSERT_EQUAL(read_all(), 0);
    CU_ASSERT_EQUAL(t.ends, 1);
    tear_down();
}

static void test_input_is_held(void) {
    set_up();
    t.take = 3;
    CU_ASSERT_EQUAL(send(t.peer, "abcdefgh", 8, 0), 8);
    turn(1);
    CU_ASSERT_EQUAL(t.input_len, 3);
    CU_ASSERT_EQUAL(send(t.peer, "ijkl", 4, 0), 4);
    turn(3);
    CU_ASSERT_EQUAL(t.input_len, 3); /* nothing is read while something is held */
    t.take = SIZE_MAX;
    car_conn_continue(t.conn);
    turn(3);
    CU_ASSERT_EQUAL_FATAL(t.input_len, 12);
    CU_ASSERT_EQUAL(memcmp(t.input, "abcdefghijkl", 12), 0);
    tear_down();
}

/* The socket takes a part, then no more, then the rest: whoever waited is told each time, also where the last bytes are
 * written by the loop and not by us. */
static void test_slow_peer(void) {
    set_up();
    size_t sent = 0;
    size_t got = 0;
    for (unsigned round = 1; round <= 3; round++) {
        while (!car_conn_is_full(t.conn)) {
            CU_ASSERT_TRUE(write_as(NULL, 50000));
            sent += 50000;
            turn(1);
            CU_ASSERT_TRUE_FATAL(sent < 64u << 20);
        }
        CU_ASSERT_EQUAL(t.drains, round - 1);
        CU_ASSERT_TRUE(car_conn_pending(t.conn) > 0);
        while (got < sent) {
            ssize_t n = read_all();
            got += n > 0 ? (size_t)n : 0;
            turn(1);
        }
        turn(2);
        CU_ASSERT_EQUAL(got, sent);
        CU_ASSERT_EQUAL(t.drains, round);
        CU_ASSERT_EQUAL(car_conn_pending(t.conn), 0);
        CU_ASSERT_FALSE(car_conn_is_full(t.conn));
    }
    tear_down();
}

static void test_stuck(void) {
    set_up();
    CU_ASSERT_FALSE(car_conn_is_stuck(t.conn));
    while (!car_conn_is_full(t.conn)) {
        CU_ASSERT_TRUE(write_as(NULL, 50000));
        turn(1);
    }
    CU_ASSERT_FALSE(car_conn_is_stuck(t.conn)); /* it took something since it was last asked */
    CU_ASSERT_TRUE(car_conn_is_stuck(t.conn));
    CU_ASSERT_TRUE(read_all() > 0);
    turn(1);
    CU_ASSERT_FALSE(car_conn_is_stuck(t.conn));
    tear_down();
}

static void test_not_read_while_much_waits(void) {
    set_up();
    for (unsigned i = 0; i < 40; i++) {
        CU_ASSERT_TRUE(write_as(NULL, 50000)); /* 2 MB: more than the socket and the mark hold */
    }
    turn(1);
    CU_ASSERT_EQUAL(send(t.peer, "abc", 3, 0), 3);
    turn(3);
    CU_ASSERT_EQUAL(t.input_len, 0);
    for (unsigned i = 0; i < 200 && t.input_len == 0; i++) {
        read_all();
        turn(1);
    }
    CU_ASSERT_EQUAL(t.input_len, 3);
    tear_down();
}

static size_t seen; /* what waited when the other flow had its turn */

static void on_other(struct car_task *task) {
    (void)task;
    seen = car_conn_pending(t.conn);
}

/* What is much goes out in pieces, between which others have their turns; the protocol hears of the end of them. */
static void test_others_between_pieces(void) {
    struct car_flow flow;
    struct car_task task = {.run = on_other};
    set_up();
    car_flow_init(&flow);
    CU_ASSERT_TRUE(write_as(NULL, 150000));
    CU_ASSERT_TRUE(car_conn_await_drained(t.conn));
    seen = 0;
    car_flow_defer(&t.worker->tasks, &flow, &task);
    turn(3);
    CU_ASSERT_TRUE(seen > 0 && seen < 150000);
    CU_ASSERT_EQUAL(t.drains, 1);
    CU_ASSERT_EQUAL(read_all(), 150000);
    tear_down();
}

static void test_finish(void) {
    set_up();
    CU_ASSERT_TRUE(write_as(NULL, 7));
    car_conn_finish(t.conn);
    CU_ASSERT_FALSE(write_as(NULL, 7));
    CU_ASSERT_EQUAL(send(t.peer, "late", 4, 0), 4);
    turn(3);
    CU_ASSERT_EQUAL(read_all(), 7); /* and the end: our side is shut */
    CU_ASSERT_EQUAL(t.input_len, 0);
    CU_ASSERT_EQUAL(t.ends, 0);
    shutdown(t.peer, SHUT_WR);
    turn(3);
    CU_ASSERT_EQUAL(t.ends, 1);
    CU_ASSERT_EQUAL(t.eofs, 0);
    tear_down();
}

static void test_eof(void) {
    set_up();
    shutdown(t.peer, SHUT_WR);
    turn(2);
    CU_ASSERT_EQUAL(t.eofs, 1);
    CU_ASSERT_TRUE(write_as(NULL, 9)); /* the peer's end is closed, ours is not */
    turn(1);
    CU_ASSERT_EQUAL(read_all(), 9);
    car_conn_finish(t.conn);
    turn(3);
    CU_ASSERT_EQUAL(t.ends, 1);
    tear_down();
}

static void test_wake(void) {
    set_up();
    car_conn_wake_in(t.conn, 60000);
    car_conn_wake_in(t.conn, 100); /* earlier than what was set */
    for (unsigned i = 0; i < 200 && t.wakes == 0; i++) {
        uv_run(&t.worker->loop, UV_RUN_ONCE);
    }
    CU_ASSERT_EQUAL(t.wakes, 1);
    tear_down();
}

/* A process that was stopped, or a loop that was busy, does not find the peer late for what has come meanwhile. */
static void test_wake_of_who_was_late(void) {
    set_up();
    car_conn_wake_in(t.conn, 100);
    CU_ASSERT_EQUAL(send(t.peer, "x", 1, 0), 1);
    usleep(400000);
    for (unsigned i = 0; i < 200 && t.wakes == 0; i++) {
        uv_run(&t.worker->loop, UV_RUN_ONCE);
    }
    CU_ASSERT_EQUAL(t.wakes, 1);
    CU_ASSERT_EQUAL(t.read_at_wake, 1);
    tear_down();
}

static void test_leave(void) {
    set_up();
    car_net_drain(t.worker, 0);
    CU_ASSERT_TRUE(atomic_load(&t.net.draining));
    turn(4);
    CU_ASSERT_EQUAL(read_all(), 0);
    tear_down();
}

static void on_ready(struct car_watch *watch, unsigned what) {
    (void)watch;
    (void)what;
    CU_FAIL("a connection that is no more is told of");
}

/* As while another process is being started, which has all descriptors until it executes its program. */
static void test_closed_with_a_copy(void) {
    set_up();
    int copy = dup(t.conn->watch.fd);
    car_conn_close(t.conn);
    turn(2);
    CU_ASSERT_EQUAL(t.ends, 1);
    t.worker->watches.ready = on_ready;
    CU_ASSERT_EQUAL(send(t.peer, "x", 1, 0), 1);
    turn(2);
    close(copy);
    tear_down();
}

static const struct car_test TESTS[] = {
    {"one owner's bytes never reach another", test_boundary},
    {"owned bytes want an owner", test_owned_bytes_want_an_owner},
    {"closed, and another process has a copy", test_closed_with_a_copy},
    {"input that was left is held", test_input_is_held},
    {"a slow peer", test_slow_peer},
    {"a peer that takes nothing", test_stuck},
    {"not read from while much waits", test_not_read_while_much_waits},
    {"others between pieces", test_others_between_pieces},
    {"finish", test_finish},
    {"the peer's end", test_eof},
    {"wake", test_wake},
    {"wake, when the loop was late", test_wake_of_who_was_late},
    {"leave", test_leave},
};

int main(void) {
    return car_suite_main("conn", TESTS, sizeof TESTS / sizeof *TESTS);
}
