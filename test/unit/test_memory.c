#include "carillon/feed/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/feed/event.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/history.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "suite.h"

/* The loops are turned by hand, but where the log has a thread. */

#define KEEP 500
#define MIB  (1u << 20)

static struct feed_fixture f;

/* What the history has, in bytes. */
static uint64_t kept(struct car_tenant *tenant) {
    struct car_event *event;
    uint64_t bytes = 0;
    uint64_t seq = car_history_oldest(&tenant->history);
    while (car_history_read(&tenant->history, f.reader, seq, &event, 1) == 1) {
        bytes += event->size;
        seq = event->seq + 1;
        car_event_unref(&event);
    }
    return bytes;
}

static uint64_t sessions(const struct car_tenant *tenant) {
    return (uint64_t)car_tenant_connections(tenant) * CAR_MEMORY_SESSION;
}

/* A cell, of all blocks together. */
#define COUNTED(cell) counted(offsetof(struct car_feed_metrics, cell))

static uint64_t counted(size_t offset) {
    uint64_t n = 0;
    for (unsigned i = 0; i < f.feed.worker_count; i++) {
        const struct car_feed_metrics *metrics = car_feed_local(f.workers[i]->feed)->metrics;
        n += car_cell_get((const car_cell *)((const char *)metrics + offset));
    }
    return n;
}

/* What is counted is what is there, whatever way it came and went. */
static void test_counted(void) {
    feed_open(&f, 2, 100);
    struct car_tenant *t = feed_tenant(&f, "a");
    struct feed_subscriber s = {.session.wire = CAR_WIRE_WS};
    CU_ASSERT_EQUAL(car_memory_used(t), 0);
    CU_ASSERT_EQUAL_FATAL(feed_join(&s, f.workers[1], t, NULL), 0);
    for (unsigned i = 0; i < 50; i++) {
        CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, t, 7, 10 * i + 1), 7);
        CU_ASSERT_TRUE(feed_publish_batch(&f, 1, t, 5));
        feed_settle(&f);
        CU_ASSERT_EQUAL(car_memory_used(t), kept(t) + sessions(t));
        CU_ASSERT_EQUAL(COUNTED(drain.history), kept(t));
        CU_ASSERT_EQUAL(COUNTED(queued), 0);
    }
    CU_ASSERT_EQUAL(COUNTED(subscribers), 1);
    CU_ASSERT_EQUAL(sessions(t), CAR_MEMORY_SESSION);
    CU_ASSERT_TRUE(kept(t) > 0);
    feed_leave(&s);
    CU_ASSERT_EQUAL(car_memory_used(t), kept(t));
    CU_ASSERT_EQUAL(COUNTED(subscribers), 0);
    feed_close(&f);
}

/* In memory alone everything that is promised stays: who publishes is refused, nobody else is, and nothing is lost. */
static void test_refused(void) {
    feed_open(&f, 2, KEEP);
    f.feed.tenant_memory = MIB;
    struct car_tenant *full = feed_tenant(&f, "full");
    struct car_tenant *other = feed_tenant(&f, "other");
    unsigned accepted = feed_publish_sized(&f, 0, full, KEEP, 5000);
    CU_ASSERT_TRUE(accepted > 150 && accepted < 220);
    feed_settle(&f);
    CU_ASSERT_TRUE(car_memory_used(full) <= MIB);
    CU_ASSERT_EQUAL(car_history_oldest(&full->history), 1);
    CU_ASSERT_EQUAL(car_tenant_newest(full), accepted);
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 1, full, 1, 5000), 0);
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, other, 100, 5000), 100);
    /* With fewer to be kept it recovers: what need not be there goes with the next that is refused. */
    f.feed.keep = 50;
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, full, 1, 5000), 0);
    feed_settle(&f);
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, full, 1, 5000), 1);
    feed_settle(&f);
    CU_ASSERT_EQUAL(car_memory_used(full), kept(full));
    CU_ASSERT_EQUAL(COUNTED(memory_refused), 3);
    CU_ASSERT_EQUAL(COUNTED(queued), 0);
    CU_ASSERT_EQUAL(COUNTED(drain.history), kept(full) + kept(other));
    feed_close(&f);
}

/* What a database has goes from memory instead, and is read from there. */
static void test_trimmed(void) {
    char path[] = "/tmp/carillon-memory-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
    unlink(path);
    feed_open_sqlite(&f, 1, KEEP, path, true);
    f.feed.tenant_memory = MIB;
    struct car_tenant *t = feed_tenant(&f, "a");
    feed_start(&f);
    for (unsigned i = 0; i < 40; i++) {
        feed_publish_from(&f, 0, t, 10, 5000);
        feed_wait_answers(&f, 10ul * (i + 1));
    }
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 0);
    CU_ASSERT_EQUAL(car_tenant_newest(t), 400);
    CU_ASSERT_TRUE(car_history_oldest(&t->history) > 200);
    CU_ASSERT_TRUE(car_history_oldest(&t->history) <= 400 - 16 + 1);
    CU_ASSERT_TRUE(car_memory_used(t) <= MIB - MIB / 4);
    CU_ASSERT_EQUAL(car_memory_used(t), kept(t));
    /* By the log's thread, which is no worker of the feed's. */
    CU_ASSERT_EQUAL(car_cell_get(&f.feed.log->metrics->drain.history), kept(t));
    CU_ASSERT_EQUAL(car_cell_get(&f.feed.log->metrics->drain.trimmed), car_history_oldest(&t->history) - 1);
    CU_ASSERT_EQUAL(COUNTED(drain.history), 0);
    feed_close(&f);
    unlink(path);
    feed_unlink_search(path);
}

/* Sessions that hold something. */

struct holder {
    struct feed_subscriber s; /* first */
    size_t held;
    unsigned shed; /* the how-manieth it was */
};

static unsigned sheds;

static size_t on_held(struct car_session *session) {
    return ((struct holder *)session)->held;
}

static void on_shed(struct car_session *session) {
    struct holder *holder = (struct holder *)session;
    holder->shed = ++sheds;
    car_memory_held(holder->s.tenant, f.workers[0], -(int64_t)holder->held);
    holder->held = 0;
}

static bool on_offer(struct car_session *session, struct car_blob *bytes) {
    (void)session;
    (void)bytes;
    return false;
}

static void on_gap(struct car_session *session, uint64_t from, uint64_t to) {
    (void)session;
    (void)from;
    (void)to;
}

static const struct car_session_ops OPS = {.offer = on_offer, .gap = on_gap, .held = on_held, .shed = on_shed};

static void hold(struct holder *holder, struct car_tenant *tenant, uint64_t since, size_t bytes) {
    uint64_t newest;
    const struct car_cursor cursor = {.seq = since};
    holder->s.tenant = tenant;
    holder->s.session.ops = &OPS;
    CU_ASSERT_EQUAL_FATAL(car_session_attach(&holder->s.session, f.workers[0], tenant, &newest), 0);
    car_session_start(&holder->s.session, &cursor);
    feed_settle(&f);
    holder->held = bytes;
    car_memory_held(tenant, f.workers[0], (int64_t)bytes);
}

/* The most behind go, as many as it takes, of this tenant alone; and only those for which something waits. */
static void test_shed(void) {
    struct holder holders[5] = {0};
    struct holder other = {0};
    sheds = 0;
    feed_open(&f, 1, KEEP);
    f.feed.tenant_memory = MIB;
    struct car_tenant *t = feed_tenant(&f, "a");
    struct car_tenant *o = feed_tenant(&f, "o");
    CU_ASSERT_EQUAL(feed_publish(&f, 0, t, 50), 50);
    CU_ASSERT_EQUAL(feed_publish(&f, 0, o, 50), 50);
    hold(&other, o, 1, 300000);
    hold(&holders[0], t, 30, 300000);
    hold(&holders[1], t, 10, 300000);
    hold(&holders[2], t, 50, 100000); /* live */
    hold(&holders[3], t, 5, 0);
    feed_settle(&f);
    CU_ASSERT_EQUAL(sheds, 0);
    hold(&holders[4], t, 20, 300000);
    feed_settle(&f);
    CU_ASSERT_EQUAL(sheds, 1);
    CU_ASSERT_EQUAL(holders[1].shed, 1);
    CU_ASSERT_EQUAL(holders[1].s.session.state, CAR_SESSION_ENDED);
    /* And on, with the next ones. */
    holders[3].held = 700000;
    car_memory_held(t, f.workers[0], 700000);
    feed_settle(&f);
    CU_ASSERT_EQUAL(holders[3].shed, 2);
    CU_ASSERT_EQUAL(sheds, 2);
    CU_ASSERT_EQUAL(COUNTED(shed[CAR_BY_WEBSOCKET]), 2);
    CU_ASSERT_EQUAL(COUNTED(unsent), 1000000);
    CU_ASSERT_EQUAL(other.shed, 0);
    CU_ASSERT_EQUAL(other.s.session.state, CAR_SESSION_BEHIND);
    for (unsigned i = 0; i < 5; i++) {
        car_memory_held(t, f.workers[0], -(int64_t)holders[i].held);
        car_session_detach(&holders[i].s.session);
    }
    car_memory_held(o, f.workers[0], -300000);
    car_session_detach(&other.s.session);
    CU_ASSERT_EQUAL(car_memory_used(t), kept(t));
    feed_close(&f);
}

/* Until the log's thread has let go of history, or somebody was sent away. */
static void wait_for_less(struct car_tenant *tenant, uint64_t most) {
    for (unsigned i = 0; i < 5000 && car_memory_used(tenant) > most && sheds == 0; i++) {
        usleep(1000);
        feed_settle(&f);
    }
    feed_settle(&f);
}

static void wait_for_shed(void) {
    for (unsigned i = 0; i < 5000 && sheds == 0; i++) {
        usleep(1000);
        feed_settle(&f);
    }
}

/* Where history can go instead, nobody has to; and only then. */
static void test_history_first(void) {
    struct holder holders[2] = {0};
    char path[] = "/tmp/carillon-memory-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
    unlink(path);
    sheds = 0;
    feed_open_sqlite(&f, 1, KEEP, path, true);
    f.feed.tenant_memory = MIB;
    struct car_tenant *t = feed_tenant(&f, "a");
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, t, 130, 5000), 130);
    for (unsigned i = 0; i < 5000 && atomic_load(&f.answered) < 130; i++) {
        usleep(1000);
        feed_settle(&f);
    }
    CU_ASSERT_EQUAL(car_history_oldest(&t->history), 1);
    CU_ASSERT_TRUE(car_memory_used(t) > MIB / 2 && car_memory_used(t) < MIB - MIB / 4);
    hold(&holders[0], t, 120, 300000);
    wait_for_less(t, MIB - MIB / 4);
    CU_ASSERT_EQUAL(sheds, 0);
    CU_ASSERT_TRUE(car_memory_used(t) <= MIB - MIB / 4);
    CU_ASSERT_TRUE(car_history_oldest(&t->history) > 1);
    hold(&holders[1], t, 125, 600000);
    wait_for_shed();
    CU_ASSERT_EQUAL(sheds, 1);
    CU_ASSERT_EQUAL(holders[0].shed, 1);
    CU_ASSERT_TRUE(car_history_oldest(&t->history) > 100);
    for (unsigned i = 0; i < 2; i++) {
        car_memory_held(t, f.workers[0], -(int64_t)holders[i].held);
        car_session_detach(&holders[i].s.session);
    }
    CU_ASSERT_EQUAL(car_memory_used(t), kept(t));
    feed_close(&f);
    unlink(path);
    feed_unlink_search(path);
}

int main(void) {
    static const struct car_test tests[] = {
        {"what is counted is what is there", test_counted},     {"who publishes is refused", test_refused},
        {"what a database has goes from memory", test_trimmed}, {"the most behind are sent away", test_shed},
        {"history goes before readers do", test_history_first},
    };
    return car_suite_main("memory", tests, sizeof tests / sizeof *tests);
}
