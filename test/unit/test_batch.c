#include <stdlib.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"
#include "carillon/feed/log.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/ring.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"
#include "feed/inlet.h"
#include "feed/lane.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "suite.h"

/* Batches on their way through inlet, drainer, history and lanes: numbered without a hole, all or none. */

#define KEEP 500

static struct feed_fixture f;

static void test_consecutive(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    static const unsigned SIZES[] = {1, 2, 255, 256, 257, 999, CAR_PUBLISH_MAX};
    uint64_t newest = 0;
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        CU_ASSERT(feed_publish_batch(&f, 0, t, SIZES[i]));
        CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 1), 1);
        feed_settle(&f); /* a large one is numbered in turns */
        newest += SIZES[i] + 1;
        CU_ASSERT_EQUAL(car_tenant_newest(t), newest);
        CU_ASSERT_EQUAL(atomic_load(&f.answered), newest);
        CU_ASSERT_EQUAL(car_history_oldest(&t->history), newest > KEEP ? newest - KEEP + 1 : 1);
    }
    CU_ASSERT(car_tenant_rate_1m(t, car_tenant_created_ms(t)) > (double)newest / 60 - 0.01);
    feed_close(&f);
}

/* What is taken at a time is counted in events, and is at most one batch too many; nothing is left behind. */
static void test_taken_in_pieces(void) {
    struct car_publish *batch[CAR_DRAIN_BATCH];
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    CU_ASSERT(car_drain_claim(t));
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 100), 100);
    CU_ASSERT(feed_publish_batch(&f, 0, t, 155));
    CU_ASSERT(feed_publish_batch(&f, 0, t, CAR_PUBLISH_MAX));
    CU_ASSERT(feed_publish_batch(&f, 0, t, 256));
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 300), 300);
    static const struct {
        size_t publishes;
        uint64_t newest;
    } WANT[] = {{102, 1255}, {1, 1511}, {256, 1767}, {44, 1811}};
    for (size_t i = 0; i < sizeof WANT / sizeof *WANT; i++) {
        size_t n = car_drain_take(&f.feed, t, f.reader, f.workers[0], batch, CAR_DRAIN_BATCH);
        CU_ASSERT_EQUAL_FATAL(n, WANT[i].publishes);
        car_drain_seal(&f.feed, t, batch, n, f.reader, f.workers[0]);
        CU_ASSERT_EQUAL(car_tenant_newest(t), WANT[i].newest);
    }
    CU_ASSERT_EQUAL(car_drain_take(&f.feed, t, f.reader, f.workers[0], batch, CAR_DRAIN_BATCH), 0);
    CU_ASSERT_FALSE(car_drain_finish(t));
    CU_ASSERT_EQUAL(atomic_load(&f.answered), 1811);
    feed_close(&f);
}

/* Refused together. */
static void test_refused(void) {
    struct car_publish *batch[CAR_DRAIN_BATCH];
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    CU_ASSERT(car_drain_claim(t));
    CU_ASSERT(feed_publish_batch(&f, 0, t, 700));
    size_t n = car_drain_take(&f.feed, t, f.reader, f.workers[0], batch, CAR_DRAIN_BATCH);
    CU_ASSERT_EQUAL_FATAL(n, 1);
    CU_ASSERT_EQUAL(car_drain_number(&f.feed, t, batch, n, f.reader), 0);
    car_drain_refuse(batch, n, CAR_ESYS, f.workers[0]);
    CU_ASSERT(car_drain_finish(t)); /* as much was taken as may be, so there may be more */
    CU_ASSERT_EQUAL(car_drain_take(&f.feed, t, f.reader, f.workers[0], batch, CAR_DRAIN_BATCH), 0);
    CU_ASSERT_FALSE(car_drain_finish(t));
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 700);
    CU_ASSERT_EQUAL(car_tenant_newest(t), 0);
    CU_ASSERT(feed_publish_batch(&f, 0, t, 3));
    CU_ASSERT_EQUAL(car_tenant_newest(t), 3);
    CU_ASSERT_EQUAL(atomic_load(&f.answered), 3);
    feed_close(&f);
}

/* A full inlet takes none of it. */
static void test_inlet_full(void) {
    feed_open(&f, 1, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    CU_ASSERT(car_drain_claim(t));
    unsigned accepted = feed_publish(&f, 0, t, 2000);
    CU_ASSERT_FALSE(feed_publish_batch(&f, 0, t, 10));
    f.feed.log->ops->ready(f.feed.log, t, f.workers[0]);
    feed_settle(&f);
    CU_ASSERT_EQUAL(car_tenant_newest(t), accepted);
    CU_ASSERT(feed_publish_batch(&f, 0, t, 10));
    CU_ASSERT_EQUAL(car_tenant_newest(t), accepted + 10);
    feed_close(&f);
}

/* Larger than a lane, and than what is kept: each worker's subscribers see all of it, once. */
static void test_lanes_overflow(void) {
    for (unsigned keep = 5; keep <= KEEP; keep += KEEP - 5) {
        feed_open(&f, 3, keep);
        struct car_tenant *t = feed_tenant(&f, "a");
        struct feed_subscriber s[3] = {
            {.session.wire = CAR_WIRE_WS}, {.session.wire = CAR_WIRE_SSE}, {.session.wire = CAR_WIRE_WS_DEFLATE}};
        for (unsigned i = 0; i < 3; i++) {
            CU_ASSERT_EQUAL_FATAL(feed_join(&s[i], f.workers[i], t, NULL), 0);
        }
        CU_ASSERT(feed_publish_batch(&f, 0, t, CAR_LANE_SLOTS + 1));
        CU_ASSERT(feed_publish_batch(&f, 1, t, CAR_PUBLISH_MAX));
        CU_ASSERT_EQUAL(feed_publish(&f, 2, t, 1), 1);
        feed_settle(&f);
        CU_ASSERT(feed_publish_batch(&f, 0, t, CAR_PUBLISH_MAX));
        feed_settle(&f);
        for (unsigned i = 0; i < 3; i++) {
            FEED_EXPECT_SEEN(&s[i], "1-2066");
            feed_leave(&s[i]);
        }
        feed_close(&f);
    }
}

/* A worker that does not read: batches wait as single events do. The last that fits may go beyond by what it has. */
static void test_stalled(void) {
    feed_open(&f, 2, KEEP);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    for (unsigned i = 0; i < 20; i++) {
        CU_ASSERT(feed_publish_batch(&f, 0, t, CAR_PUBLISH_MAX));
    }
    for (unsigned i = 0; i < 1000 && !atomic_load(&t->stalled); i++) {
        feed_turn(&f, 0);
    }
    CU_ASSERT_EQUAL(car_tenant_newest(t), 9000);
    CU_ASSERT(car_tenant_newest(t) - CAR_LANE_LAG_MAX < CAR_PUBLISH_MAX);
    CU_ASSERT(atomic_load(&t->stalled));
    feed_settle(&f);
    CU_ASSERT_EQUAL(car_tenant_newest(t), 20000);
    CU_ASSERT_EQUAL(atomic_load(&f.answered), 20000);
    FEED_EXPECT_SEEN(&s, "1-20000");
    CU_ASSERT_EQUAL(car_history_oldest(&t->history), 20000 - KEEP + 1);
    feed_leave(&s);
    feed_close(&f);
}

/* Logs with threads: batches and single events of several workers, in one tenant and beside another. */

struct job {
    struct car_tenant *a, *b;
    atomic_uint accepted;
};

static void mix(struct car_worker *worker, void *arg) {
    struct job *job = arg;
    for (unsigned i = 0; i < 5; i++) {
        unsigned size = 1 + (i * 333 + worker->id * 77) % CAR_PUBLISH_MAX;
        struct car_tenant *t = i % 2 ? job->a : job->b;
        atomic_fetch_add(&job->accepted, feed_publish_batch(&f, worker->id, t, size) ? size : 0);
        atomic_fetch_add(&job->accepted, feed_publish(&f, worker->id, job->a, 20));
    }
}

static void test_logs(void) {
    char folder[] = "/tmp/carillon-batch-XXXXXX";
    char path[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    for (unsigned kind = 0; kind < 3; kind++) {
        snprintf(path, sizeof path, "%s/%u.db", folder, kind);
        if (kind == 0) {
            feed_open(&f, 3, KEEP);
        } else {
            feed_open_sqlite(&f, 3, KEEP, path, kind == 2);
        }
        feed_start(&f);
        struct job job = {.a = feed_tenant(&f, "a"), .b = feed_tenant(&f, "b")};
        for (unsigned i = 0; i < 12; i++) {
            feed_call(&f, i % 3, mix, &job);
        }
        unsigned accepted = atomic_load(&job.accepted);
        feed_wait_answers(&f, accepted);
        CU_ASSERT(accepted > 10000);
        CU_ASSERT_EQUAL(atomic_load(&f.answered), accepted);
        CU_ASSERT_EQUAL(car_tenant_newest(job.a) + car_tenant_newest(job.b), accepted);
        feed_close(&f);
        if (kind > 0) {
            feed_open_sqlite(&f, 3, KEEP, path, false);
            feed_start(&f);
            CU_ASSERT_EQUAL(car_tenant_newest(feed_tenant_find(&f, "a")) + car_tenant_newest(feed_tenant_find(&f, "b")),
                            accepted);
            feed_close(&f);
            CU_ASSERT_EQUAL(unlink(path), 0);
            feed_unlink_search(path);
        }
    }
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static const struct car_test TESTS[] = {
    {"consecutive", test_consecutive},
    {"taken in pieces", test_taken_in_pieces},
    {"refused", test_refused},
    {"inlet full", test_inlet_full},
    {"lanes overflow", test_lanes_overflow},
    {"stalled", test_stalled},
    {"logs", test_logs},
};

int main(void) {
    return car_suite_main("batch", TESTS, sizeof TESTS / sizeof *TESTS);
}
