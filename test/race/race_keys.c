#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "feed_fixture.h"
#include "race.h"
#include "suite.h"

/*
 * Publishers on several workers repeat one another's requests all the time: one event or a batch, of a few tenants,
 * under keys of which each names its body, so everybody who uses one has to be answered with the same events, and one
 * of them as the first. Publishes without a key go between. At the end the log has the events of each key once.
 */

#define WORKERS    4u
#define TENANTS    3u
#define KEYS       400u /* of each tenant */
#define OTHERS     7u   /* one of so many repeats has another body */
#define EVENTS_MAX 70u
#define IN_FLIGHT  24u
#define ROUNDS     6000u
#define PLAY_MS    3000u

/* What is known of a key: the seq that it led to, and how often it was the first. */
struct known {
    atomic_ulong first;
    atomic_uint firsts;
};

struct scene {
    struct feed_fixture f;
    struct car_tenant *tenants[TENANTS];
    struct known known[TENANTS][KEYS];
    atomic_ulong plain; /* events without a key that are in the log */
    atomic_ulong faults, replays, refused;
    atomic_uint finished;
    uint64_t started_ms;
    unsigned rounds;
    struct stage {
        struct scene *scene;
        struct car_worker *worker;
        struct car_task task;
        uint64_t dice;
        unsigned in_flight, rounds, turns;
        bool over;
    } stages[WORKERS];
};

static struct scene scene;

struct request {
    struct car_publish publish;
    struct stage *stage;
    struct car_publish_key key;
    unsigned tenant, number;
    bool other;
    struct car_event *events[];
};

/* The size of a key's batch is the key's. */
static uint32_t size_of(unsigned number) {
    return number % 5 ? 1 : 2 + number % (EVENTS_MAX - 1);
}

static void check(struct request *r) {
    struct car_publish *publish = &r->publish;
    struct known *known = &scene.known[r->tenant][r->number];
    if (publish->status || r->other) {
        /* It may well be that the other body came first. */
        bool fine = publish->status == CAR_EEXIST && publish->key;
        scene.faults += !fine && publish->status;
        scene.refused += fine;
    }
    if (publish->status) {
        return;
    }
    for (uint32_t i = 1; i < publish->count; i++) {
        scene.faults += r->events[i]->seq != r->events[0]->seq + i || r->events[i]->tenant != publish->tenant;
    }
    if (!publish->key) {
        scene.plain += publish->count;
        scene.faults += publish->replayed;
        return;
    }
    unsigned long seq = 0;
    if (!atomic_compare_exchange_strong(&known->first, &seq, r->events[0]->seq)) {
        scene.faults += seq != r->events[0]->seq;
    }
    atomic_fetch_add(&known->firsts, !publish->replayed);
    scene.replays += publish->replayed;
}

static void on_done(struct car_publish *publish) {
    struct request *r = (struct request *)publish; /* its first member */
    struct stage *stage = r->stage;
    scene.faults += car_worker_self() != stage->worker;
    check(r);
    for (uint32_t i = 0; i < publish->count; i++) {
        car_event_unref(&r->events[i]);
    }
    free(r);
    stage->in_flight--;
    if (stage->in_flight == 0 && stage->over) {
        atomic_fetch_add(&scene.finished, 1);
    }
}

static void post(struct stage *stage) {
    uint32_t dice = race_random(&stage->dice);
    unsigned tenant = dice % TENANTS;
    /* The workers go through the keys side by side. */
    unsigned window = stage->rounds * KEYS / scene.rounds;
    unsigned number = (window + (dice >> 8) % 16) % KEYS;
    bool keyed = (dice >> 16) % 4 != 0;
    bool other = (dice >> 20) % OTHERS == 0;
    uint32_t count = keyed ? size_of(number) : 1;
    struct request *r = calloc(1, sizeof *r + count * sizeof r->events[0]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    r->stage = stage;
    r->tenant = tenant;
    r->number = number;
    r->other = keyed && other;
    memcpy(r->key.key, &number, sizeof number);
    r->key.body[0] = r->other;
    for (uint32_t i = 0; i < count; i++) {
        r->events[i] = feed_event(scene.tenants[tenant], "t", keyed ? "\"k\"" : "\"p\"");
    }
    r->publish = (struct car_publish){.tenant = scene.tenants[tenant],
                                      .events = r->events,
                                      .count = count,
                                      .key = keyed ? &r->key : NULL,
                                      .done = on_done};
    stage->in_flight++;
    if (car_publish(&r->publish, stage->worker) != 0) {
        stage->in_flight--;
        for (uint32_t i = 0; i < count; i++) {
            car_event_unref(&r->events[i]);
        }
        free(r);
    }
}

static void play(struct car_task *task) {
    struct stage *stage = (struct stage *)((char *)task - offsetof(struct stage, task));
    stage->rounds += stage->in_flight < IN_FLIGHT; /* otherwise it only waits */
    stage->turns++;
    for (unsigned i = 0; i < 4 && stage->in_flight < IN_FLIGHT; i++) {
        post(stage);
    }
    race_stall(&stage->dice);
    if (stage->rounds < scene.rounds && !race_time_up(scene.started_ms, PLAY_MS, stage->turns)) {
        car_task_yield(&stage->worker->tasks, &stage->task);
        return;
    }
    stage->over = true;
    if (stage->in_flight == 0) {
        atomic_fetch_add(&scene.finished, 1);
    }
}

static void begin(struct car_worker *worker, void *arg) {
    struct stage *stage = &scene.stages[worker->id];
    (void)arg;
    *stage = (struct stage){.scene = &scene, .worker = worker, .dice = race_seed(worker->id), .task.run = play};
    car_task_defer(&worker->tasks, &stage->task);
}

static void run(const char *database, bool relaxed) {
    memset(&scene, 0, sizeof scene);
    scene.rounds = race_rounds(ROUNDS);
    if (database) {
        feed_open_sqlite(&scene.f, WORKERS, 100, database, relaxed);
    } else {
        feed_open(&scene.f, WORKERS, 100);
    }
    for (unsigned i = 0; i < TENANTS; i++) {
        char id[8];
        snprintf(id, sizeof id, "t%u", i);
        scene.tenants[i] = feed_tenant(&scene.f, id);
    }
    feed_start(&scene.f);
    scene.started_ms = race_now_ms();
    for (unsigned i = 0; i < WORKERS; i++) {
        feed_call(&scene.f, i, begin, NULL);
    }
    while (atomic_load(&scene.finished) < WORKERS) {
        usleep(2000);
    }
    unsigned long keyed = 0;
    unsigned long newest = 0;
    unsigned used = 0;
    for (unsigned t = 0; t < TENANTS; t++) {
        newest += car_tenant_newest(scene.tenants[t]);
        for (unsigned k = 0; k < KEYS; k++) {
            unsigned firsts = atomic_load(&scene.known[t][k].firsts);
            CU_ASSERT(firsts <= 1);
            CU_ASSERT_EQUAL(firsts, atomic_load(&scene.known[t][k].first) != 0);
            keyed += firsts * size_of(k);
            used += firsts;
        }
    }
    CU_ASSERT_EQUAL(atomic_load(&scene.faults), 0);
    CU_ASSERT_EQUAL(newest, keyed + atomic_load(&scene.plain));
    CU_ASSERT(used > 0 && atomic_load(&scene.replays) > 0 && atomic_load(&scene.refused) > 0);
    printf("  %u keys, %lu replays, %lu refused, %lu events, %llu ms\n", used, atomic_load(&scene.replays),
           atomic_load(&scene.refused), newest, (unsigned long long)(race_now_ms() - scene.started_ms));
    feed_close(&scene.f);
}

static void test_memory(void) {
    run(NULL, false);
}

static void test_database(void) {
    char folder[] = "/tmp/carillon-race-XXXXXX";
    char path[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%u.db", folder, i);
        run(path, i == 1);
        CU_ASSERT_EQUAL(unlink(path), 0);
        feed_unlink_search(path);
    }
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static const struct car_test TESTS[] = {
    {"memory", test_memory},
    {"database", test_database},
};

int main(void) {
    return car_suite_main("keys", TESTS, sizeof TESTS / sizeof *TESTS);
}
