#include "carillon/feed/session.h"

#include <stdio.h>
#include <string.h>

#include "carillon/feed/history.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "feed/lane.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "suite.h"

/* The loops are turned by hand, all on this thread: each test says in which order things happen. Worker 0 publishes,
 * unless said otherwise. */

#define KEEP 500

static struct feed_fixture f;

static struct car_lane *lane_of(struct car_tenant *tenant, unsigned worker) {
    return tenant->lanes ? atomic_load(&atomic_load(&tenant->lanes)->of[worker]) : NULL;
}

static void publish(struct car_tenant *tenant, unsigned count) {
    CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, count), count);
    feed_settle(&f);
}

/* One by one: forgetting goes with publishing, and never past what a worker has still to fan out. */
static void publish_each(struct car_tenant *tenant, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        publish(tenant, 1);
    }
}

static void leave(struct feed_subscriber *s, struct car_tenant *tenant) {
    feed_leave(s);
    CU_ASSERT_EQUAL(car_tenant_connections(tenant), 0);
}

/* Joining. */

static void test_live_only(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    CU_ASSERT_PTR_NULL(car_session_tenant(&s.session));
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL(s.joined_at, 0);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_LIVE);
    CU_ASSERT_PTR_EQUAL(car_session_tenant(&s.session), t);
    CU_ASSERT_EQUAL(car_tenant_connections(t), 1);
    publish(t, 3);
    FEED_EXPECT_SEEN(&s, "1-3");
    leave(&s, t);
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL(s.joined_at, 3);
    publish(t, 2);
    FEED_EXPECT_SEEN(&s, "4-5");
    leave(&s, t);
    feed_close(&f);
}

static void test_since(void) {
    static const struct {
        uint64_t since;
        const char *first, *then;
    } rows[] = {{0, "1-10", "1-12"}, {4, "5-10", "5-12"}, {9, "10-10", "10-12"}, {10, "", "11-12"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int wire = 0; wire < CAR_WIRES; wire++) {
            feed_open(&f, 2, KEEP);
            struct car_tenant *t = feed_tenant(&f, "a");
            struct feed_subscriber s = {.session.wire = (enum car_wire)wire};
            publish(t, 10);
            CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, rows[i].since), 0);
            FEED_EXPECT_SEEN(&s, ""); /* nothing is offered in the callback that starts */
            feed_settle(&f);
            FEED_EXPECT_SEEN(&s, rows[i].first);
            CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_LIVE);
            publish(t, 2);
            FEED_EXPECT_SEEN(&s, rows[i].then);
            leave(&s, t);
            feed_close(&f);
        }
    }
}

/* What is published between the join and the first turn comes once, whichever way. */
static void test_since_meanwhile(void) {
    for (unsigned meanwhile = 1; meanwhile < 300; meanwhile += 37) {
        for (unsigned worker = 0; worker < 2; worker++) {
            feed_open(&f, 2, KEEP);
            struct car_tenant *t = feed_tenant(&f, "a");
            struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
            publish(t, 100);
            CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[worker], t, 20), 0);
            publish(t, meanwhile);
            char want[40];
            snprintf(want, sizeof want, "21-%u", 100 + meanwhile);
            FEED_EXPECT_SEEN(&s, want);
            leave(&s, t);
            feed_close(&f);
        }
    }
}

static void test_gap_at_join(void) {
    feed_open(&f, 2, 10);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE, .ends_when_slow = true};
    publish(t, 30);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 5), 0);
    publish(t, 1);
    /* 21 was kept when the session joined, and is forgotten by the time it reads: one honest notice after the other. */
    FEED_EXPECT_SEEN(&s, "gap 6-20 gap 21-21 22-31");
    leave(&s, t);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 21), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "22-31");
    leave(&s, t);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 20), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "gap 21-21 22-31");
    leave(&s, t);
    feed_close(&f);
}

/* A slow worker makes the history hold more than `keep`; what a newcomer gets does not depend on that. */
static void test_gap_at_join_despite_lag(void) {
    feed_open(&f, 2, 10);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber slow = {.session.wire = CAR_WIRE_SSE};
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    CU_ASSERT_EQUAL_FATAL(feed_join(&slow, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 30), 30);
    CU_ASSERT_EQUAL(car_history_oldest(&t->history), 1);
    CU_ASSERT_EQUAL(car_tenant_oldest(t, 10), 21);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[0], t, 5), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "gap 6-20 21-30");
    FEED_EXPECT_SEEN(&slow, "1-30");
    feed_leave(&slow);
    leave(&s, t);
    feed_close(&f);
}

static void test_foreign_cursor(void) {
    feed_open(&f, 1, 10);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    struct car_cursor foreign = {.seq = 1000, .foreign = true};
    publish(t, 30);
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[0], t, &foreign), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "gap 1-20 21-30");
    publish(t, 2);
    FEED_EXPECT_SEEN(&s, "gap 1-20 21-32");
    leave(&s, t);
    /* A seq to come is another log's too, whether that is said or not. */
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[0], t, 33), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "gap 1-22 23-32");
    leave(&s, t);
    /* Nothing has been forgotten: an empty gap still says that the log is another one. */
    struct car_tenant *young = feed_tenant(&f, "young");
    publish(young, 4);
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[0], young, &foreign), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "gap 1-0 1-4");
    leave(&s, young);
    struct car_tenant *empty = feed_tenant(&f, "empty");
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[0], empty, &foreign), 0);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_LIVE);
    publish(empty, 1);
    FEED_EXPECT_SEEN(&s, "gap 1-0 1-1");
    leave(&s, empty);
    feed_close(&f);
}

/* The seq that the attach tells is the one a snapshot goes up to: what comes after it is offered, and nothing else. It
 * is so where another session of the lane has not got all of that yet, which is no matter of the one that joins. */
static void test_snapshot_position(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber first = {.session.wire = CAR_WIRE_SSE};
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    CU_ASSERT_EQUAL_FATAL(feed_join(&first, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 200), 200); /* the lane of worker 1 has not been looked at */
    FEED_EXPECT_SEEN(&first, "");
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL(s.joined_at, 200);
    FEED_EXPECT_SEEN(&first, "");
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 5), 5);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "201-205");
    FEED_EXPECT_SEEN(&first, "1-205");
    feed_leave(&first);
    leave(&s, t);
    feed_close(&f);
}

/* Slow readers. */

static void test_behind_and_again(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS, .limited = true, .budget = 2};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    for (unsigned i = 0; i < 100; i++) {
        publish(t, 3);
    }
    FEED_EXPECT_SEEN(&s, "1-6");
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_BEHIND);
    CU_ASSERT_EQUAL(s.refusals, 1); /* who refused is left alone until it calls */
    s.budget = 1;
    car_session_resume(&s.session);
    car_session_resume(&s.session); /* twice is once */
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "1-70");
    CU_ASSERT_EQUAL(s.refusals, 2);
    feed_resume(&s);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "1-300");
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_LIVE);
    publish(t, 1);
    FEED_EXPECT_SEEN(&s, "1-301");
    feed_resume(&s); /* of a live one: nothing */
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "1-301");
    leave(&s, t);
    feed_close(&f);
}

static void test_gap_while_joining(void) {
    feed_open(&f, 1, 10);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE, .limited = true, .ends_when_slow = true};
    publish(t, 5);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[0], t, 0), 0);
    publish_each(t, 20);
    FEED_EXPECT_SEEN(&s, "");
    feed_resume(&s);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "gap 1-15 16-25");
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_LIVE);
    leave(&s, t);
    feed_close(&f);
}

static void test_too_slow(void) {
    for (int ends = 0; ends < 2; ends++) {
        feed_open(&f, 2, 10);
        struct car_tenant *t = feed_tenant(&f, "a");
        struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE, .limited = true, .ends_when_slow = ends == 1};
        s.budget = 1;
        CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
        publish(t, 3);
        publish_each(t, 30);
        FEED_EXPECT_SEEN(&s, "1-3");
        feed_resume(&s);
        feed_settle(&f);
        FEED_EXPECT_SEEN(&s, ends ? "1-3 slow 4-23" : "1-3 slow 4-23 24-33");
        CU_ASSERT_EQUAL(s.session.state, ends ? CAR_SESSION_ENDED : CAR_SESSION_LIVE);
        publish(t, 2);
        feed_resume(&s);
        feed_settle(&f);
        FEED_EXPECT_SEEN(&s, ends ? "1-3 slow 4-23" : "1-3 slow 4-23 24-35");
        CU_ASSERT_EQUAL(car_tenant_connections(t), 1);
        leave(&s, t);
        feed_close(&f);
    }
}

/* Exactly what is kept is no gap; one more is. */
static void test_edge_of_keep(void) {
    for (unsigned more = 0; more < 2; more++) {
        feed_open(&f, 1, 10);
        struct car_tenant *t = feed_tenant(&f, "a");
        struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE, .limited = true, .budget = 1};
        CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[0], t, NULL), 0);
        publish(t, 1);
        publish_each(t, 10 + more);
        feed_resume(&s);
        feed_settle(&f);
        FEED_EXPECT_SEEN(&s, more ? "1-1 slow 2-2 3-12" : "1-11");
        leave(&s, t);
        feed_close(&f);
    }
}

/* A session that reads on from the history gets pieces, not all in one. */
static void test_catch_up_in_pieces(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, t, 40, 10000), 40);
    feed_settle(&f);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[0], t, 0), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "1-40");
    CU_ASSERT(s.largest < (64u << 10) + 12000);
    CU_ASSERT(s.offers >= 5);
    leave(&s, t);
    feed_close(&f);
}

/* A peer that takes all it is offered must not be told that it is too slow, or that events were forgotten which were
 * kept when it asked, because its tenant is busy. */
static void test_catch_up_under_load(void) {
    for (int live = 0; live < 2; live++) {
        feed_open(&f, 2, 2000);
        struct car_tenant *t = feed_tenant(&f, "a");
        struct feed_subscriber other = {.session.wire = CAR_WIRE_SSE};
        struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
        CU_ASSERT_EQUAL_FATAL(feed_join(&other, f.workers[1], t, NULL), 0);
        if (live) {
            s.limited = true; /* refuses once, early */
            CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
        }
        publish(t, 1500);
        if (live) {
            feed_resume(&s);
        } else {
            CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 0), 0);
        }
        for (unsigned turn = 0; turn < 40; turn++) {
            CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 200), 200);
            feed_turn(&f, 1);
            feed_turn(&f, 0);
        }
        feed_settle(&f);
        FEED_EXPECT_SEEN(&other, "1-9500");
        FEED_EXPECT_SEEN(&s, "1-9500");
        feed_leave(&other);
        leave(&s, t);
        feed_close(&f);
    }
}

/* Leaving. */

static void test_leave_in_every_state(void) {
    feed_open(&f, 2, 10);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    uint64_t newest = 0;
    leave(&s, t); /* detached */
    CU_ASSERT_EQUAL_FATAL(car_session_attach(&s.session, f.workers[1], t, &newest), 0);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_ATTACHED);
    CU_ASSERT_EQUAL(car_tenant_connections(t), 1);
    car_session_resume(&s.session); /* not started: nothing */
    leave(&s, t);
    CU_ASSERT_PTR_NULL(car_session_tenant(&s.session));
    leave(&s, t); /* again */
    publish(t, 5);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 0), 0);
    CU_ASSERT(car_task_is_queued(&s.session.catch_up));
    leave(&s, t);
    CU_ASSERT_FALSE(car_task_is_queued(&s.session.catch_up));
    s.limited = true;
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 0), 0);
    feed_settle(&f);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_BEHIND);
    leave(&s, t);
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    publish_each(t, 30);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_BEHIND);
    s.ends_when_slow = true;
    feed_resume(&s);
    feed_settle(&f);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_ENDED);
    leave(&s, t);
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_LIVE);
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 3), 3);
    leave(&s, t); /* with events in the lane and its note in the mailbox */
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "");
    feed_close(&f);
}

/* The middle one of three leaves; the others go on. */
static void test_others_stay(void) {
    for (unsigned who = 0; who < 3; who++) {
        feed_open(&f, 1, KEEP);
        struct car_tenant *t = feed_tenant(&f, "a");
        struct feed_subscriber s[3] = {
            [0].session.wire = CAR_WIRE_SSE, [1].session.wire = CAR_WIRE_WS, [2].session.wire = CAR_WIRE_WS_DEFLATE};
        for (unsigned i = 0; i < 3; i++) {
            CU_ASSERT_EQUAL_FATAL(feed_join(&s[i], f.workers[0], t, NULL), 0);
        }
        publish(t, 1);
        feed_leave(&s[who]);
        CU_ASSERT_EQUAL(car_tenant_connections(t), 2);
        publish(t, 1);
        for (unsigned i = 0; i < 3; i++) {
            FEED_EXPECT_SEEN(&s[i], i == who ? "" : "1-2");
            feed_leave(&s[i]);
        }
        CU_ASSERT_EQUAL(car_tenant_connections(t), 0);
        feed_close(&f);
    }
}

static void test_lane_goes_and_comes(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
    struct feed_subscriber second = {.session.wire = CAR_WIRE_SSE};
    publish(t, 1);
    CU_ASSERT_PTR_NULL(lane_of(t, 1));
    for (unsigned round = 0; round < 5; round++) {
        CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(feed_join(&second, f.workers[1], t, NULL), 0);
        CU_ASSERT_PTR_NOT_NULL(lane_of(t, 1));
        CU_ASSERT_PTR_NULL(lane_of(t, 0));
        feed_leave(&second);
        CU_ASSERT_PTR_NOT_NULL(lane_of(t, 1));
        publish(t, 1);
        CU_ASSERT_EQUAL(feed_seen_last(&s), 2 + 2 * round);
        CU_ASSERT_EQUAL(s.seen_count, 1);
        leave(&s, t);
        CU_ASSERT_PTR_NULL(lane_of(t, 1));
        publish(t, 1);
    }
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 1), 0);
    feed_settle(&f);
    FEED_EXPECT_SEEN(&s, "2-11");
    leave(&s, t);
    feed_close(&f);
}

/* The last session leaves while the lane's note is in the mailbox. Memory goes when both the note has run and no
 * drainer can hold the lane, in either order: the sanitizers tell. */
static void test_lane_freed_either_way(void) {
    for (int note_first = 0; note_first < 2; note_first++) {
        feed_open(&f, 2, KEEP);
        struct car_tenant *t = feed_tenant(&f, "a");
        struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE};
        CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
        CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 100), 100);
        leave(&s, t);
        for (int i = 0; !note_first && i < 10; i++) {
            car_reader_poll(f.workers[1]->reader);
        }
        feed_settle(&f);
        for (int i = 0; note_first && i < 10; i++) {
            car_reader_poll(f.workers[1]->reader);
        }
        CU_ASSERT_FALSE(car_reader_poll(f.workers[1]->reader));
        CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[1], t, 98), 0);
        feed_settle(&f);
        FEED_EXPECT_SEEN(&s, "99-100");
        leave(&s, t);
        feed_close(&f);
    }
}

static const struct car_test TESTS[] = {
    {"joining live gets what comes", test_live_only},
    {"since N begins after N", test_since},
    {"events while joining come once", test_since_meanwhile},
    {"what was forgotten before joining is a gap", test_gap_at_join},
    {"a lagging worker does not change the gap", test_gap_at_join_despite_lag},
    {"another log's cursor", test_foreign_cursor},
    {"a snapshot's position", test_snapshot_position},
    {"falling behind and catching up", test_behind_and_again},
    {"forgotten while joining is a gap", test_gap_while_joining},
    {"a live session that falls behind all that is kept", test_too_slow},
    {"the edge of what is kept", test_edge_of_keep},
    {"catching up goes in pieces", test_catch_up_in_pieces},
    {"catching up while the tenant is busy", test_catch_up_under_load},
    {"leaving in every state", test_leave_in_every_state},
    {"one leaves, the others stay", test_others_stay},
    {"the lane goes with the last session", test_lane_goes_and_comes},
    {"a lane is freed after note and readers", test_lane_freed_either_way},
};

int main(void) {
    return car_suite_main("session", TESTS, sizeof TESTS / sizeof *TESTS);
}
