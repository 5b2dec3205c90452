#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "support/feed_fixture.h"
#include "support/postgres.h"

#include "race.h"
#include "suite.h"

/* Tenants come and go while others look them up, read their terms and events, and publish to whatever they have found:
 * each publish has its answer, once, and none is in a tenant that was removed before it was made. */

enum { PUBLISHERS = 2, IDS = 4, KEEP = 20, WINDOW = 64 };

static struct feed_fixture f;
static atomic_bool over;
static atomic_ulong faults, accepted, answered, closed, finds;

static struct car_span id_of(char text[8], unsigned number) {
    return car_span_of(text, (size_t)snprintf(text, 8, "t%u", number));
}

/* A publisher is a task of its worker that goes on until the end. */
struct publisher {
    struct car_task task; /* first */
    struct car_worker *worker;
    uint64_t dice;
    unsigned waiting;
};

struct posted {
    struct car_publish publish; /* first */
    struct publisher *publisher;
    struct car_event *events[1];
};

static void on_done(struct car_publish *publish) {
    struct posted *posted = (struct posted *)publish;
    atomic_fetch_add(publish->status ? &closed : &answered, 1);
    if (publish->status && publish->status != CAR_ECLOSED && publish->status != CAR_EFULL) {
        atomic_fetch_add(&faults, 1);
    }
    posted->publisher->waiting--;
    car_event_unref(&posted->events[0]);
    free(posted);
}

static void publish_to(struct publisher *p, struct car_tenant *tenant) {
    struct posted *posted = calloc(1, sizeof *posted);
    bool was_removed = car_tenant_is_removed(tenant);
    posted->publisher = p;
    posted->events[0] = feed_event(tenant, "message", "\"race\"");
    posted->publish = (struct car_publish){.tenant = tenant, .events = posted->events, .count = 1, .done = on_done};
    p->waiting++;
    int err = car_publish(&posted->publish, p->worker);
    if (err) {
        p->waiting--;
        car_event_unref(&posted->events[0]);
        free(posted);
        return;
    }
    atomic_fetch_add(&accepted, 1);
    if (was_removed) {
        atomic_fetch_add(&faults, 1);
    }
}

/* What is found is whole: its terms, and its events. */
static void look_at(struct publisher *p, struct car_tenant *tenant, struct car_span id) {
    struct car_event *events[4];
    struct car_reader *reader = p->worker->reader;
    car_reader_enter(reader);
    const struct car_tenant_terms *terms = car_tenant_terms(tenant);
    if (terms->name[0] && terms->limits.connections != strtoull(terms->name, NULL, 10)) {
        atomic_fetch_add(&faults, 1);
    }
    car_reader_leave(reader);
    size_t n = car_tenant_read(tenant, reader, 1, events, 4);
    for (size_t i = 0; i < n; i++) {
        if (events[i]->tenant != tenant || !car_span_eq(car_tenant_id(tenant), id)) {
            atomic_fetch_add(&faults, 1);
        }
        car_event_unref(&events[i]);
    }
    atomic_fetch_add(&finds, 1);
}

static void on_publisher(struct car_task *task) {
    struct publisher *p = (struct publisher *)task;
    for (unsigned i = 0; i < 8 && !atomic_load(&over); i++) {
        char text[8];
        struct car_span id = id_of(text, race_random(&p->dice) % IDS);
        struct car_tenant *tenant = car_registry_find(f.feed.registry, p->worker->reader, id);
        if (tenant) {
            look_at(p, tenant, id);
            race_stall(&p->dice);
            if (p->waiting < WINDOW) {
                publish_to(p, tenant);
            }
        }
    }
    if (!atomic_load(&over)) {
        car_task_yield(&p->worker->tasks, task);
    }
}

static void start(struct car_worker *worker, void *arg) {
    struct publisher *p = arg;
    p->worker = worker;
    p->task.run = on_publisher;
    car_task_yield(&worker->tasks, &p->task);
}

struct changed {
    struct car_log_change change; /* first */
    atomic_bool done;
};

static void on_changed(struct car_log_change *change) {
    atomic_store(&((struct changed *)change)->done, true);
}

static void put_change(struct car_worker *worker, void *arg) {
    car_change(arg, worker);
}

static int make(unsigned worker, struct car_log_change change) {
    struct changed changed = {.change = change};
    changed.change.done = on_changed;
    feed_call(&f, worker, put_change, &changed.change);
    while (!atomic_load(&changed.done)) {
        sched_yield();
    }
    return changed.change.status;
}

/* The thread that adds and removes. */
static void come_and_go(unsigned number, uint64_t *dice) {
    char text[8];
    struct car_span id = id_of(text, number);
    struct car_tenant *tenant = car_registry_find(f.feed.registry, f.reader, id);
    struct car_tenant_terms terms = {.limits.connections = 1 + race_random(dice) % 1000};
    snprintf(terms.name, sizeof terms.name, "%llu", (unsigned long long)terms.limits.connections);
    if (tenant && race_random(dice) % 2) {
        CU_ASSERT_EQUAL(make(PUBLISHERS, (struct car_log_change){.kind = CAR_LOG_TENANT_REMOVE, .tenant = tenant}), 0);
        CU_ASSERT_PTR_NULL(car_registry_find(f.feed.registry, f.reader, id));
        return;
    }
    if (!tenant) {
        CU_ASSERT_EQUAL(car_registry_add(f.feed.registry, f.reader, id, &tenant), 0);
    }
    CU_ASSERT_EQUAL(
        make(PUBLISHERS, (struct car_log_change){.kind = CAR_LOG_TENANT_PUT, .tenant = tenant, .terms = &terms}), 0);
}

static void test_with(const char *path, const char *uri) {
    struct publisher publishers[PUBLISHERS] = {0};
    uint64_t dice = race_seed(1);
    uint64_t started = race_now_ms();
    atomic_store(&over, false);
    atomic_store(&accepted, 0);
    atomic_store(&answered, 0);
    atomic_store(&closed, 0);
    if (path) {
        feed_open_sqlite(&f, PUBLISHERS + 1, KEEP, path, false);
    } else if (uri) {
        feed_open_postgres(&f, PUBLISHERS + 1, KEEP, uri, false);
    } else {
        feed_open(&f, PUBLISHERS + 1, KEEP);
    }
    feed_start(&f);
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i].dice = race_seed(10 + i);
        feed_call(&f, i, start, &publishers[i]);
    }
    for (unsigned i = 0; i < race_rounds(20000) && race_now_ms() - started < 5000; i++) {
        come_and_go(race_random(&dice) % IDS, &dice);
        car_reader_poll(f.reader);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; atomic_load(&answered) + atomic_load(&closed) < atomic_load(&accepted) && i < 20000; i++) {
        usleep(1000);
    }
    feed_barrier(&f);
    CU_ASSERT_EQUAL(atomic_load(&answered) + atomic_load(&closed), atomic_load(&accepted));
    CU_ASSERT_EQUAL(atomic_load(&faults), 0);
    CU_ASSERT(atomic_load(&answered) > 0 && atomic_load(&finds) > 0);
    feed_close(&f);
}

static void in_memory(void) {
    test_with(NULL, NULL);
}

static void in_a_database(void) {
    char folder[] = "/tmp/carillon-race-XXXXXX";
    char path[64];
    char command[100];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    test_with(path, NULL);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
}

/* At the end nothing is left of those that were removed, and of the others, what is theirs. */
static void in_postgres(void) {
    static const char LEFT[] = "SELECT count(*) FROM carillon.tenants WHERE removed";
    char uri[200];
    postgres_new(uri, sizeof uri);
    test_with(NULL, uri);
    feed_open_postgres(&f, 1, KEEP, uri, false);
    feed_start(&f);
    for (unsigned i = 0; postgres_number(uri, LEFT) && i < 3000; i++) {
        usleep(10000);
    }
    CU_ASSERT_EQUAL(postgres_number(uri, LEFT), 0);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.events e LEFT JOIN carillon.tenants t"
                                         " ON e.tenant = t.n AND e.seq <= t.newest WHERE t.n IS NULL"),
                    0);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.tenants t WHERE newest <>"
                                         " (SELECT count(*) FROM carillon.events e WHERE e.tenant = t.n)"),
                    0);
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"tenants come and go, in memory", in_memory},
    {"and in a database", in_a_database},
    {"and in PostgreSQL", in_postgres},
};

int main(void) {
    race_watch();
    return car_suite_main("race_accounts", TESTS, sizeof TESTS / sizeof *TESTS);
}
