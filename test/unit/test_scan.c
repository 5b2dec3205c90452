#include "carillon/feed/scan.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/flow.h"
#include "carillon/runtime/worker.h"
#include "feed/tenant_state.h"

#include "feed_fixture.h"
#include "suite.h"

/* Looking for events where memory has the newest of them only, against what was published. */

enum { WORKERS = 2, KEEP = 50, EVENTS = 400 };

static const char *const STORES[] = {"memory", "commit", "relaxed"};

static struct feed_fixture f;
static char folder[] = "/tmp/carillon-scan-XXXXXX";
static char path[64];
static unsigned files;

static void open_store(const char *store, uint32_t keep) {
    snprintf(path, sizeof path, "%s/%u.db", folder, files++);
    if (strcmp(store, "memory") == 0) {
        feed_open(&f, WORKERS, keep);
    } else {
        feed_open_sqlite(&f, WORKERS, keep, path, strcmp(store, "relaxed") == 0);
    }
    feed_start(&f);
}

/* Every event's type says its seq modulo 7. */
static void publish_part(struct car_worker *worker, void *arg) {
    struct car_tenant *tenant = arg;
    (void)worker;
    for (unsigned i = 0; i < 20; i++) {
        char type[8];
        snprintf(type, sizeof type, "t%u", (unsigned)((car_tenant_newest(tenant) + 1) % 7));
        feed_publish_event(&f, 0, feed_event(tenant, type, "\"m\""));
        if (f.feed.log->ops->ask) {
            break; /* its seq is known when it is stored */
        }
    }
}

static struct car_tenant *publish_all(const char *id, unsigned count) {
    struct car_tenant *tenant = feed_tenant_find(&f, id);
    tenant = tenant ? tenant : feed_tenant(&f, id);
    while (car_tenant_newest(tenant) < count) {
        unsigned long before = atomic_load(&f.answered);
        feed_call(&f, 0, publish_part, tenant);
        feed_wait_answers(&f, before + 1);
    }
    return tenant;
}

struct scanning {
    struct car_scan scan; /* first */
    atomic_bool done;
    bool at_once;
};

static void on_done(struct car_scan *scan) {
    atomic_store(&((struct scanning *)scan)->done, true);
}

static void start(struct car_worker *worker, void *arg) {
    struct scanning *s = arg;
    s->scan.worker = worker;
    s->scan.done = on_done;
    car_scan_start(&s->scan);
    s->at_once = atomic_load(&s->done);
}

static void wait_done(struct scanning *s) {
    while (!atomic_load(&s->done)) {
        usleep(200);
    }
}

static void run(struct scanning *s) {
    static unsigned turn;
    feed_call(&f, turn++ % WORKERS, start, s);
    wait_done(s);
}

/* What has to come of it. */
static void check(const struct car_scan *scan, uint64_t first, uint64_t last, unsigned modulo) {
    uint32_t n = 0;
    uint64_t seq = scan->descending ? last : first;
    for (uint64_t left = first <= last ? last - first + 1 : 0; left && n <= scan->limit; left--) {
        if (modulo == 7 || seq % 7 == modulo) {
            CU_ASSERT_FATAL(n == scan->limit || (n < scan->count && scan->events[n]->seq == seq));
            n++;
        }
        seq += scan->descending ? UINT64_MAX : 1;
    }
    CU_ASSERT_EQUAL(scan->count, n < scan->limit ? n : scan->limit);
    CU_ASSERT_EQUAL(scan->more, n > scan->limit);
}

static void test_ranges(void) {
    for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++) {
        open_store(STORES[i], KEEP);
        bool reads = f.feed.log->ops->ask != NULL;
        struct car_tenant *tenant = publish_all("a", EVENTS);
        uint64_t oldest = reads ? 1 : car_tenant_oldest(tenant, KEEP);
        uint64_t newest = car_tenant_newest(tenant);
        for (unsigned round = 0; round < 300; round++) {
            uint64_t first = (uint64_t)rand() % (newest + 20);
            uint64_t last = (uint64_t)rand() % 3 ? (uint64_t)rand() % (newest + 20) : UINT64_MAX;
            unsigned modulo = (unsigned)rand() % 8;
            char type[8];
            int len = snprintf(type, sizeof type, "t%u", modulo);
            struct car_filter filter = {.types = {.data = type, .len = (size_t)len + 1}};
            struct scanning s = {.scan = {.tenant = tenant,
                                          .first = first,
                                          .last = last,
                                          .limit = 1 + (uint32_t)rand() % 150,
                                          .descending = rand() % 2,
                                          .filter = modulo < 7 ? &filter : NULL}};
            run(&s);
            CU_ASSERT_EQUAL_FATAL(s.scan.status, 0);
            CU_ASSERT(s.at_once || reads);
            check(&s.scan, first > oldest ? first : oldest, last < newest ? last : newest, modulo);
            car_scan_free(&s.scan);
        }
        feed_close(&f);
    }
}

/* What memory has is not asked for elsewhere. */
static void test_at_once(void) {
    open_store("commit", KEEP);
    struct car_tenant *tenant = publish_all("a", EVENTS);
    uint64_t newest = car_tenant_newest(tenant);
    struct scanning latest = {
        .scan = {.tenant = tenant, .first = 1, .last = UINT64_MAX, .limit = 20, .descending = true}};
    run(&latest);
    CU_ASSERT(latest.at_once);
    CU_ASSERT_EQUAL(latest.scan.count, 20);
    car_scan_free(&latest.scan);
    struct scanning behind = {.scan = {.tenant = tenant, .first = newest - 9, .last = UINT64_MAX, .limit = 1000}};
    run(&behind);
    CU_ASSERT(behind.at_once);
    CU_ASSERT_EQUAL(behind.scan.count, 10);
    car_scan_free(&behind.scan);
    feed_close(&f);
}

enum { LOOKS = 32 };

struct looking {
    struct car_tenant *tenant;
    struct scanning looks[LOOKS];
    atomic_bool over;
    uint32_t most;
};

static void start_looks(struct car_worker *worker, void *arg) {
    struct looking *looking = arg;
    for (unsigned i = 0; i < LOOKS; i++) {
        looking->looks[i] = (struct scanning){
            .scan = {.tenant = looking->tenant, .first = 1, .last = UINT64_MAX, .limit = 1000, .descending = true}};
        start(worker, &looking->looks[i]);
    }
}

static void *keep_looking(void *arg) {
    struct looking *looking = arg;
    while (!atomic_load(&looking->over)) {
        feed_call(&f, 1, start_looks, looking);
        for (unsigned i = 0; i < LOOKS; i++) {
            wait_done(&looking->looks[i]);
            uint32_t count = looking->looks[i].scan.count;
            looking->most = count > looking->most ? count : looking->most;
            car_scan_free(&looking->looks[i].scan);
        }
    }
    return NULL;
}

/* However much is published while it begins, no more is found than the log retains. */
static void test_while_published(void) {
    open_store("relaxed", KEEP);
    f.feed.retain = KEEP / 2;
    struct looking looking = {.tenant = publish_all("a", EVENTS)};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, keep_looking, &looking), 0);
    for (unsigned i = 0; i < 300; i++) {
        feed_publish_and_wait(&f, looking.tenant, 500);
    }
    atomic_store(&looking.over, true);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(looking.most, KEEP / 2);
    feed_close(&f);
}

/* It ends where it holds enough bytes. */
static void test_bytes(void) {
    for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++) {
        open_store(STORES[i], i == 0 ? 1000 : KEEP);
        struct car_tenant *tenant = feed_tenant(&f, "a");
        for (unsigned n = 0; n < 12; n++) {
            feed_publish_from(&f, 0, tenant, 10, 100000);
        }
        feed_wait_answers(&f, 120);
        for (int down = 0; down < 2; down++) {
            struct scanning s = {
                .scan = {.tenant = tenant, .first = 1, .last = UINT64_MAX, .limit = 1000, .descending = down}};
            run(&s);
            CU_ASSERT_EQUAL(s.scan.status, 0);
            CU_ASSERT_EQUAL(s.scan.count, 84); /* the first that goes beyond 8 MiB is the last */
            CU_ASSERT(s.scan.more);
            CU_ASSERT_EQUAL(s.scan.events[0]->seq, down ? 120 : 1);
            car_scan_free(&s.scan);
        }
        feed_close(&f);
    }
}

static void change(const char *sql) {
    sqlite3 *db;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_damage(void) {
    open_store("commit", KEEP);
    struct car_tenant *tenant = publish_all("a", EVENTS);
    change("DELETE FROM events WHERE seq = 100");
    struct scanning s = {.scan = {.tenant = tenant, .first = 1, .last = UINT64_MAX, .limit = 1000}};
    run(&s);
    CU_ASSERT_EQUAL(s.scan.status, CAR_EINVAL);
    CU_ASSERT_EQUAL(s.scan.count, 0);
    CU_ASSERT_PTR_NULL(s.scan.events);
    feed_close(&f);
}

/* Sessions. */

struct visit {
    struct feed_subscriber s; /* first */
    struct car_tenant *tenant;
    uint64_t since;
    uint64_t last;
    bool ended;
};

static void join(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    CU_ASSERT_EQUAL(feed_join_since(&visit->s, worker, visit->tenant, visit->since), 0);
}

static void look(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    (void)worker;
    visit->last = feed_seen_last(&visit->s);
    visit->ended = visit->s.session.state == CAR_SESSION_ENDED;
}

static void leave(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    (void)worker;
    feed_leave(&visit->s);
}

static void resume(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    (void)worker;
    feed_resume(&visit->s);
}

static void allow_one(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    (void)worker;
    visit->s.budget = 1;
    car_session_resume(&visit->s.session);
}

static void wait_until(struct visit *visit, uint64_t seq) {
    for (unsigned i = 0; i < 20000 && visit->last < seq; i++) {
        feed_call(&f, 1, look, visit);
        usleep(500);
    }
    CU_ASSERT_EQUAL(visit->last, seq);
}

/* From any position on, whatever the wire, and live behind it. */
static void test_resume(void) {
    for (size_t i = 1; i < sizeof STORES / sizeof *STORES; i++) {
        open_store(STORES[i], KEEP);
        struct car_tenant *tenant = publish_all("a", EVENTS);
        struct visit visits[6] = {0};
        char want[64];
        for (unsigned v = 0; v < 6; v++) {
            visits[v] = (struct visit){.tenant = tenant, .since = v * 79};
            visits[v].s.session.wire = (enum car_wire)(v % CAR_WIRES);
            feed_call(&f, 1, join, &visits[v]);
        }
        (void)publish_all("a", EVENTS + 30);
        for (unsigned v = 0; v < 6; v++) {
            wait_until(&visits[v], EVENTS + 30);
            snprintf(want, sizeof want, "%llu-%d", (unsigned long long)visits[v].since + 1, EVENTS + 30);
            FEED_EXPECT_SEEN(&visits[v].s, want);
            feed_call(&f, 1, leave, &visits[v]);
        }
        feed_close(&f);
    }
}

/* A peer that takes one chunk at a time, while events go on being forgotten by memory. */
static void test_slow(void) {
    open_store("commit", KEEP);
    struct car_tenant *tenant = publish_all("a", 100);
    struct visit visit = {.tenant = tenant, .s = {.limited = true, .budget = 1}};
    feed_call(&f, 1, join, &visit);
    for (unsigned round = 1; round <= 5; round++) {
        (void)publish_all("a", 100 + round * 60);
        feed_call(&f, 1, allow_one, &visit);
    }
    feed_call(&f, 1, resume, &visit);
    wait_until(&visit, 400);
    FEED_EXPECT_SEEN(&visit.s, "1-400");
    feed_call(&f, 1, leave, &visit);
    feed_close(&f);
}

/* It goes while it waits for a page. */
static void join_and_leave(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    join(worker, arg);
    feed_leave(&visit->s);
    join(worker, arg);
}

static void test_leaving(void) {
    open_store("commit", KEEP);
    struct car_tenant *tenant = publish_all("a", EVENTS);
    for (unsigned i = 0; i < 200; i++) {
        struct visit visit = {.tenant = tenant, .since = i};
        feed_call(&f, 1, join_and_leave, &visit);
        feed_call(&f, 1, look, &visit);
        if (i % 3) {
            usleep(i * 5);
        }
        feed_call(&f, 1, leave, &visit);
    }
    feed_close(&f);
}

/* What cannot be read ends it, after what can. */
static void test_failing(void) {
    open_store("commit", KEEP);
    struct car_tenant *tenant = publish_all("a", EVENTS);
    change("DELETE FROM events WHERE seq = 100");
    struct visit visit = {.tenant = tenant};
    feed_call(&f, 1, join, &visit);
    for (unsigned i = 0; i < 10000 && !visit.ended; i++) {
        usleep(1000);
        feed_call(&f, 1, look, &visit);
    }
    FEED_EXPECT_SEEN(&visit.s, "1-64 failed 0-0");
    feed_call(&f, 1, leave, &visit);
    feed_close(&f);
}

/* What the log has forgotten is a gap, and no more than that. */
static void test_forgotten(void) {
    open_store("commit", KEEP);
    struct car_tenant *tenant = publish_all("a", EVENTS);
    change("UPDATE tenants SET forgotten = 120; DELETE FROM events WHERE seq <= 120");
    car_tenant_forget(tenant, 120);
    struct visit visit = {.tenant = tenant, .since = 50};
    feed_call(&f, 1, join, &visit);
    wait_until(&visit, EVENTS);
    FEED_EXPECT_SEEN(&visit.s, "gap 51-120 121-400");
    feed_call(&f, 1, leave, &visit);
    struct scanning s = {.scan = {.tenant = tenant, .first = 1, .last = UINT64_MAX, .limit = 1000}};
    run(&s);
    check(&s.scan, 121, EVENTS, 7);
    car_scan_free(&s.scan);
    feed_close(&f);
}

/* Another tenant's work, between the slices of a scan that a filter makes long. */
static struct {
    struct car_task task; /* first */
    struct car_tenant *tenant;
    unsigned turns;
    bool found;
} other;

static void on_other(struct car_task *task) {
    struct car_flow *flow = car_flow_of(other.tenant, f.workers[0]);
    other.turns += !other.found;
    car_flow_charge(&f.workers[0]->tasks, flow, CAR_FLOW_QUANTUM);
    if (!other.found) {
        car_flow_defer(&f.workers[0]->tasks, flow, task);
    }
}

static void on_other_found(struct car_scan *scan) {
    (void)scan;
    other.found = true;
}

static void test_others_have_turns(void) {
    for (int descending = 0; descending < 2; descending++) {
        feed_open(&f, 1, 8000);
        struct car_tenant *tenant = feed_tenant(&f, "a");
        char type[] = "nothing";
        struct car_filter filter = {.types = {.data = type, .len = sizeof type}};
        for (unsigned i = 0; i < 8; i++) {
            CU_ASSERT(feed_publish_batch(&f, 0, tenant, 1000));
        }
        feed_settle(&f);
        other.tenant = feed_tenant(&f, "b");
        other.task = (struct car_task){.run = on_other};
        other.turns = 0;
        other.found = false;
        struct car_scan scan = {.tenant = tenant,
                                .worker = f.workers[0],
                                .first = 1,
                                .last = UINT64_MAX,
                                .limit = 10,
                                .descending = descending,
                                .filter = &filter,
                                .done = on_other_found};
        car_scan_start(&scan);
        CU_ASSERT_FALSE(other.found);
        car_flow_defer(&f.workers[0]->tasks, car_flow_of(other.tenant, f.workers[0]), &other.task);
        for (unsigned i = 0; i < 1000 && !other.found; i++) {
            feed_turn(&f, 0);
        }
        CU_ASSERT(other.found);
        CU_ASSERT(other.turns >= 20);
        CU_ASSERT_EQUAL(scan.count, 0);
        car_scan_free(&scan);
        feed_turn(&f, 0);
        feed_close(&f);
    }
}

static unsigned ended;

static void on_ended(struct car_scan *scan) {
    (void)scan;
    ended++;
}

/* Words are looked for in every byte: a turn is as short where events are long. And who begins while others of the
 * tenant's have used up its turn waits for the next one. */
static void test_long_events_and_many(void) {
    enum { COUNT = 256, LEN = 2000, MANY = 20 };
    char word[] = "absent";
    struct car_filter filter = {.words = {.data = word, .len = sizeof word}};
    struct car_scan scans[MANY];
    feed_open(&f, 1, COUNT);
    struct car_tenant *tenant = feed_tenant(&f, "a");
    CU_ASSERT_EQUAL(feed_publish_sized(&f, 0, tenant, COUNT, LEN), COUNT);
    feed_settle(&f);
    ended = 0;
    unsigned turns = 0;
    for (unsigned i = 0; i < MANY; i++) {
        scans[i] = (struct car_scan){.tenant = tenant,
                                     .worker = f.workers[0],
                                     .first = 1,
                                     .last = UINT64_MAX,
                                     .limit = 10,
                                     .filter = &filter,
                                     .done = on_ended};
        car_scan_start(&scans[i]);
        CU_ASSERT_TRUE(i < 2 || scans[i].first == 1);
    }
    CU_ASSERT_EQUAL(ended, 0);
    for (; turns < 10000 && ended < MANY; turns++) {
        feed_turn(&f, 0);
    }
    CU_ASSERT_EQUAL(ended, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(scans[i].count, 0);
        CU_ASSERT_EQUAL(scans[i].status, 0);
        car_scan_free(&scans[i]);
    }
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"ranges, limits, filters", test_ranges},
    {"what memory has", test_at_once},
    {"while others publish", test_while_published},
    {"bytes", test_bytes},
    {"damage", test_damage},
    {"a session resumes", test_resume},
    {"a slow session", test_slow},
    {"a session that leaves", test_leaving},
    {"a session that cannot read on", test_failing},
    {"forgotten", test_forgotten},
    {"others have turns", test_others_have_turns},
    {"long events, and many who look", test_long_events_and_many},
};

int main(void) {
    if (!mkdtemp(folder)) {
        return 1;
    }
    int failed = car_suite_main("scan", TESTS, sizeof TESTS / sizeof *TESTS);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0 || failed;
}
