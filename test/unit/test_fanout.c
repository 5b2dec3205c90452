#include <stdio.h>
#include <string.h>

#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/history.h"
#include "carillon/feed/session.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "suite.h"

/* The way from a published event to the sessions of each worker: lanes, fan-out, frames. Loops are turned by hand, but
 * for the last test; worker 0 publishes. */

#define KEEP 500

static struct feed_fixture f;

static void publish(struct car_tenant *tenant, unsigned count) {
    CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, count), count);
    feed_settle(&f);
}

static void leave(struct feed_subscriber *s, struct car_tenant *tenant) {
    feed_leave(s);
    CU_ASSERT_EQUAL(car_tenant_connections(tenant), 0);
}

/* Overflow. */

static void test_overflow(void) {
    static const unsigned counts[] = {62, 63, 64, 65, 127, 128, 129, 191, 192, 500, 1000, 1024, 1025, 3000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (unsigned worker = 0; worker < 2; worker++) {
            feed_open(&f, 2, 50);
            struct car_tenant *t = feed_tenant(&f, "a");
            struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
            CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[worker], t, NULL), 0);
            publish(t, counts[i]);
            publish(t, counts[i]);
            publish(t, 1);
            char want[40];
            snprintf(want, sizeof want, "1-%u", 2 * counts[i] + 1);
            FEED_EXPECT_SEEN(&s, want);
            CU_ASSERT_EQUAL(car_history_oldest(&t->history), 2 * counts[i] - 48);
            leave(&s, t);
            feed_close(&f);
        }
    }
}

/* While the lane works off a full ring, more comes: the ring then holds late events behind a hole. */
static void publish_more(struct feed_subscriber *s) {
    unsigned *left = s->user;
    if (*left) {
        (*left)--;
        CU_ASSERT_EQUAL(feed_publish(&f, 0, s->tenant, 7), 7);
    }
}

static void test_overflow_with_holes(void) {
    for (unsigned first = 60; first < 220; first += 3) {
        feed_open(&f, 2, KEEP);
        struct car_tenant *t = feed_tenant(&f, "a");
        unsigned left = 20;
        struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE, .on_offer = publish_more, .user = &left};
        CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
        publish(t, first);
        char want[40];
        snprintf(want, sizeof want, "1-%llu", (unsigned long long)car_tenant_newest(t));
        FEED_EXPECT_SEEN(&s, want);
        CU_ASSERT_EQUAL(car_tenant_newest(t), first + 7 * (20 - left));
        CU_ASSERT_EQUAL(left, 0);
        leave(&s, t);
        feed_close(&f);
    }
}

/* However much waits, one write stays small: what a peer that stalls right after it can keep in memory. */
static void test_fan_out_in_pieces(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, t, 60, 200000), 60);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "1-60");
    CU_ASSERT(s.largest <= (1u << 20) + 200300); /* 12 MB waited */
    leave(&s, t);
    feed_close(&f);
}

/* Sharing and isolation. */

static void test_encoded_once(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s[4] = {{.session.wire = CAR_WIRE_SSE},
                                   {.session.wire = CAR_WIRE_WS},
                                   {.session.wire = CAR_WIRE_SSE},
                                   {.session.wire = CAR_WIRE_WS}};
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(feed_join(&s[i], f.workers[0], t, NULL), 0);
    }
    publish(t, 30);
    CU_ASSERT_PTR_EQUAL(s[0].last_blob, s[2].last_blob);
    CU_ASSERT_PTR_EQUAL(s[1].last_blob, s[3].last_blob);
    CU_ASSERT_PTR_NOT_EQUAL(s[0].last_blob, s[1].last_blob);
    for (unsigned i = 0; i < 4; i++) {
        FEED_EXPECT_SEEN(&s[i], "1-30");
        CU_ASSERT_EQUAL(s[i].offers, 1); /* what one turn published is one write */
        feed_leave(&s[i]);
    }
    const struct car_feed_metrics *metrics = ((struct car_feed_local *)f.workers[0]->feed)->metrics;
    CU_ASSERT_EQUAL(car_cell_get(&metrics->delivered[CAR_BY_WEBSOCKET]), 60);
    CU_ASSERT_EQUAL(car_cell_get(&metrics->delivered[CAR_BY_SSE]), 60);
    feed_close(&f);
}

static void test_tenants_apart(void) {
    feed_open(&f, 2, 20);
    struct car_tenant *t[3] = {feed_tenant(&f, "a"), feed_tenant(&f, "a.b"), feed_tenant(&f, "A")};
    struct feed_subscriber s[3][2] = {0};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned w = 0; w < 2; w++) {
            s[i][w].session.wire = w ? CAR_WIRE_SSE : CAR_WIRE_WS_DEFLATE;
            CU_ASSERT_EQUAL_FATAL(feed_join(&s[i][w], f.workers[w], t[i], NULL), 0);
        }
    }
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 3; i++) {
            CU_ASSERT_EQUAL(feed_publish(&f, round % 2, t[i], i + 1), i + 1);
        }
        s[0][1].limited = round < 5;
        car_session_resume(&s[0][1].session);
        if (round % 3) {
            feed_settle(&f);
        }
    }
    feed_settle(&f);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned w = 0; w < 2; w++) {
            char want[40];
            snprintf(want, sizeof want, "1-%u", 30 * (i + 1));
            FEED_EXPECT_SEEN(&s[i][w], want);
            CU_ASSERT_EQUAL(car_tenant_connections(t[i]), 2 - w);
            feed_leave(&s[i][w]);
        }
        CU_ASSERT_EQUAL(car_tenant_connections(t[i]), 0);
    }
    feed_close(&f);
}

/* A thread of its own under the worker, as in the server. */

struct on_thread {
    struct feed_subscriber s;
    struct car_tenant *tenant;
    char seen[100];
};

static void join_there(struct car_worker *worker, void *arg) {
    struct on_thread *o = arg;
    CU_ASSERT_PTR_EQUAL(car_worker_self(), worker);
    CU_ASSERT_EQUAL(feed_join_since(&o->s, worker, o->tenant, 0), 0);
}

static void publish_there(struct car_worker *worker, void *arg) {
    struct on_thread *o = arg;
    CU_ASSERT_EQUAL(feed_publish(&f, worker->id, o->tenant, 200), 200);
}

static void look_there(struct car_worker *worker, void *arg) {
    struct on_thread *o = arg;
    (void)worker;
    snprintf(o->seen, sizeof o->seen, "%s", feed_seen_text(&o->s));
}

static void leave_there(struct car_worker *worker, void *arg) {
    (void)worker;
    feed_leave(&((struct on_thread *)arg)->s);
}

static void test_on_threads(void) {
    feed_open(&f, 2, KEEP);
    struct on_thread o = {.tenant = feed_tenant(&f, "a"), .s.session.wire = CAR_WIRE_SSE};
    feed_start(&f);
    feed_call(&f, 0, publish_there, &o);
    feed_call(&f, 1, join_there, &o);
    feed_call(&f, 0, publish_there, &o);
    for (int i = 0; i < 500 && strcmp(o.seen, "1-400") != 0; i++) {
        uv_sleep(10); /* nothing but the feed's own notes may wake worker 1 up */
        feed_call(&f, 1, look_there, &o);
    }
    CU_ASSERT_STRING_EQUAL(o.seen, "1-400");
    feed_call(&f, 1, leave_there, &o);
    CU_ASSERT_EQUAL(atomic_load(&f.answered), 400);
    CU_ASSERT_EQUAL(atomic_load(&f.astray), 0);
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"an overflowing lane loses nothing", test_overflow},
    {"a lane with holes loses nothing", test_overflow_with_holes},
    {"fan-out goes in pieces", test_fan_out_in_pieces},
    {"one encoding for each wire", test_encoded_once},
    {"tenants see their own events only", test_tenants_apart},
    {"a worker with a thread is woken", test_on_threads},
};

int main(void) {
    return car_suite_main("fanout", TESTS, sizeof TESTS / sizeof *TESTS);
}
