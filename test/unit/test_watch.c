#include "carillon/runtime/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"

#define MANY 600 /* more than one look at the set brings */

static struct {
    uv_loop_t loop;
    struct car_watches watches;
    struct car_watch watch[MANY];
    int peer[MANY];
    unsigned reports[MANY];
    unsigned what[MANY]; /* all that was reported since it was last cleared */
} t;

static void on_ready(struct car_watch *watch, unsigned what) {
    size_t i = (size_t)(watch - t.watch);
    t.reports[i]++;
    t.what[i] |= what;
}

static void turn(void) {
    uv_run(&t.loop, UV_RUN_NOWAIT);
}

static void forget(void) {
    memset(t.reports, 0, sizeof t.reports);
    memset(t.what, 0, sizeof t.what);
}

static void set_up(unsigned count) {
    memset(&t, 0, sizeof t);
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&t.loop), 0);
    CU_ASSERT_EQUAL_FATAL(car_watches_open(&t.watches, &t.loop), 0);
    t.watches.ready = on_ready;
    for (unsigned i = 0; i < count; i++) {
        int ends[2];
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        t.peer[i] = ends[1];
        t.watch[i].fd = ends[0];
        CU_ASSERT_EQUAL_FATAL(car_watch_add(&t.watches, &t.watch[i]), 0);
    }
}

static void tear_down(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        close(t.watch[i].fd);
        close(t.peer[i]);
    }
    car_watches_close(&t.watches);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&t.loop), 0);
}

static void test_edges(void) {
    char bytes[8];
    set_up(1);
    turn();
    CU_ASSERT_EQUAL(t.reports[0], 0); /* nobody has asked about room */
    CU_ASSERT_EQUAL(send(t.peer[0], "ab", 2, 0), 2);
    turn();
    CU_ASSERT_TRUE(t.what[0] & CAR_WATCH_READ);
    forget();
    turn();
    CU_ASSERT_EQUAL(t.reports[0], 0); /* not used up, and not reported again */
    CU_ASSERT_EQUAL(recv(t.watch[0].fd, bytes, sizeof bytes, 0), 2);
    CU_ASSERT_EQUAL(send(t.peer[0], "c", 1, 0), 1);
    turn();
    CU_ASSERT_TRUE(t.what[0] & CAR_WATCH_READ);
    CU_ASSERT_FALSE(t.what[0] & CAR_WATCH_END);
    tear_down(1);
}

static void test_end(void) {
    set_up(2);
    turn();
    forget();
    shutdown(t.peer[0], SHUT_WR);
    turn();
    CU_ASSERT_TRUE(t.what[0] & CAR_WATCH_END);
    CU_ASSERT_EQUAL(t.reports[1], 0);
    tear_down(2);
}

static void test_room(void) {
    static char bytes[1 << 16];
    set_up(1);
    turn();
    while (send(t.watch[0].fd, bytes, sizeof bytes, 0) > 0) {
    }
    CU_ASSERT_EQUAL(errno, EAGAIN);
    CU_ASSERT_EQUAL(car_watch_room(&t.watches, &t.watch[0]), 0);
    turn();
    CU_ASSERT_EQUAL(t.reports[0], 0);
    while (recv(t.peer[0], bytes, sizeof bytes, 0) > 0) {
    }
    turn();
    CU_ASSERT_TRUE(t.what[0] & CAR_WATCH_WRITE);
    tear_down(1);
}

/* Room that there is already is reported to who asks, and input that was not used up is not lost by asking. */
static void test_room_at_once(void) {
    set_up(1);
    CU_ASSERT_EQUAL(send(t.peer[0], "x", 1, 0), 1);
    turn();
    forget();
    CU_ASSERT_EQUAL(car_watch_room(&t.watches, &t.watch[0]), 0);
    turn();
    CU_ASSERT_TRUE(t.what[0] & CAR_WATCH_WRITE);
    CU_ASSERT_TRUE(t.what[0] & CAR_WATCH_READ);
    tear_down(1);
}

/* None is overlooked, however many are ready at a time. */
static void test_many(void) {
    set_up(MANY);
    for (unsigned i = 0; i < 4; i++) {
        turn();
    }
    forget();
    for (unsigned i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(send(t.peer[i], "x", 1, 0), 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        turn();
    }
    for (unsigned i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(t.reports[i], 1);
        CU_ASSERT_TRUE(t.what[i] & CAR_WATCH_READ);
    }
    tear_down(MANY);
}

/* What was ended is not told of any more, whoever else has the socket. */
static void test_ended_with_a_copy(void) {
    set_up(2);
    int copy = dup(t.watch[0].fd);
    turn();
    forget();
    car_watch_end(&t.watches, &t.watch[0]);
    CU_ASSERT_EQUAL(send(t.peer[0], "x", 1, 0), 1);
    CU_ASSERT_EQUAL(send(t.peer[1], "x", 1, 0), 1);
    turn();
    CU_ASSERT_EQUAL(t.reports[0], 0);
    CU_ASSERT_EQUAL(t.reports[1], 1);
    t.watch[0].fd = copy;
    tear_down(2);
}

static void test_bad_descriptor(void) {
    struct car_watch watch = {-1};
    set_up(0);
    CU_ASSERT_EQUAL(car_watch_add(&t.watches, &watch), UV_EBADF);
    tear_down(0);
}

static const struct car_test TESTS[] = {
    {"edges", test_edges},
    {"the peer's end", test_end},
    {"room to write", test_room},
    {"room at once", test_room_at_once},
    {"many", test_many},
    {"ended with a copy", test_ended_with_a_copy},
    {"no descriptor", test_bad_descriptor},
};

int main(void) {
    return car_suite_main("watch", TESTS, sizeof TESTS / sizeof *TESTS);
}
