#include "carillon/base/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/feed/session.h"
#include "carillon/feed/traffic.h"
#include "carillon/runtime/reclaim.h"

#include "api/tops.h"

#include "feed_fixture.h"
#include "race.h"
#include "suite.h"

/* Cells: each block has its writer, and somebody sums them all the time. */

enum { WRITERS = 3, TEST_MS = 1500 };

struct block {
    car_cell count, by_two;
    struct car_histogram took;
};

struct ledger {
    struct block *blocks[WRITERS];
    pthread_barrier_t start;
    atomic_uint writing;
    unsigned rounds;
    unsigned long backward;
};

struct writer {
    struct ledger *ledger;
    unsigned index;
};

static void *write_cells(void *arg) {
    const struct writer *writer = arg;
    struct ledger *ledger = writer->ledger;
    struct block *block = ledger->blocks[writer->index];
    uint64_t random = race_seed(writer->index);
    pthread_barrier_wait(&ledger->start);
    for (unsigned i = 0; i < ledger->rounds; i++) {
        car_cell_add(&block->count, 1);
        car_cell_add(&block->by_two, 2);
        car_histogram_add(&block->took, race_random(&random) & 1023, 1);
        race_stall(&random);
    }
    atomic_fetch_sub(&ledger->writing, 1);
    return NULL;
}

static uint64_t sum_of(const struct ledger *ledger, size_t offset) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        sum += car_cell_get((const car_cell *)((const char *)ledger->blocks[i] + offset));
    }
    return sum;
}

static void read_on(struct ledger *ledger) {
    uint64_t count = 0;
    uint64_t us = 0;
    pthread_barrier_wait(&ledger->start);
    while (atomic_load(&ledger->writing)) {
        uint64_t now = sum_of(ledger, offsetof(struct block, count));
        uint64_t now_us = sum_of(ledger, offsetof(struct block, took.sum_us));
        ledger->backward += now < count || now_us < us;
        count = now;
        us = now_us;
    }
}

static void test_cells(void) {
    struct ledger ledger = {.rounds = race_rounds(400000)};
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    atomic_init(&ledger.writing, WRITERS);
    pthread_barrier_init(&ledger.start, NULL, WRITERS + 1);
    for (unsigned i = 0; i < WRITERS; i++) {
        ledger.blocks[i] = car_metrics_block(sizeof(struct block));
        writers[i] = (struct writer){.ledger = &ledger, .index = i};
        pthread_create(&threads[i], NULL, write_cells, &writers[i]);
    }
    read_on(&ledger);
    race_join(threads, WRITERS);
    CU_ASSERT_EQUAL(ledger.backward, 0);
    CU_ASSERT_EQUAL(sum_of(&ledger, offsetof(struct block, count)), (uint64_t)WRITERS * ledger.rounds);
    CU_ASSERT_EQUAL(sum_of(&ledger, offsetof(struct block, by_two)), (uint64_t)WRITERS * 2 * ledger.rounds);
    uint64_t durations = 0;
    for (unsigned i = 0; i <= CAR_HISTOGRAM_BOUNDS; i++) {
        durations += sum_of(&ledger, offsetof(struct block, took.counts) + i * sizeof(car_cell));
    }
    CU_ASSERT_EQUAL(durations, (uint64_t)WRITERS * ledger.rounds);
    for (unsigned i = 0; i < WRITERS; i++) {
        free(ledger.blocks[i]);
    }
    pthread_barrier_destroy(&ledger.start);
}

/* What tenants were delivered, while subscribers come and go, and lanes with them, and two scrape. */

enum { WORKERS = 2, TENANTS = 3, SCRAPERS = 2 };

struct scene {
    struct feed_fixture feed;
    struct car_tenant *tenants[TENANTS];
    struct car_tops *tops;
    atomic_bool over;
    atomic_ulong published, delivered; /* events; the second as the subscribers saw it */
    atomic_ulong faults;
};

/* The value of the first line that begins so. */
static uint64_t value_of(const char *text, const char *line) {
    const char *at = strstr(text, line);
    return at ? strtoull(at + strlen(line), NULL, 10) : 0;
}

/* There is one subscriber at a time, so nobody can have been handed more than was published; a lane that counts twice
 * while it goes would show so. */
static bool too_much(struct scene *scene, struct car_reader *reader) {
    uint64_t delivered = 0;
    for (unsigned i = 0; i < TENANTS; i++) {
        delivered += car_tenant_traffic(&scene->feed.feed, scene->tenants[i], reader).delivered;
    }
    return delivered > atomic_load(&scene->published);
}

static void *scrape(void *arg) {
    struct scene *scene = arg;
    struct car_reader *reader = car_reader_open(scene->feed.reclaim);
    uint64_t others = 0;
    while (!atomic_load(&scene->over)) {
        struct car_buf out = CAR_BUF_INIT;
        car_tops_write(scene->tops, &scene->feed.feed, reader, &out);
        car_buf_char(&out, '\0');
        uint64_t now = value_of(out.data, "carillon_tenant_delivered_events_total{tenant=\"_other\"} ");
        uint64_t said = value_of(out.data, "carillon_tenant_published_events_total{tenant=\"_other\"} ");
        atomic_fetch_add(&scene->faults, now < others);
        atomic_fetch_add(&scene->faults, said > atomic_load(&scene->published));
        for (int i = 0; i < 20; i++) {
            atomic_fetch_add(&scene->faults, too_much(scene, reader));
        }
        others = now;
        car_buf_free(&out);
        (void)car_reader_poll(reader);
    }
    car_reader_close(&reader);
    return NULL;
}

struct visit {
    struct scene *scene;
    struct feed_subscriber *subscriber;
    struct car_tenant *tenant;
};

static void join(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    if (feed_join(visit->subscriber, worker, visit->tenant, NULL) != 0) {
        atomic_fetch_add(&visit->scene->faults, 1);
    }
}

static void leave(struct car_worker *worker, void *arg) {
    struct visit *visit = arg;
    (void)worker;
    atomic_fetch_add(&visit->scene->delivered, visit->subscriber->events);
    feed_leave(visit->subscriber);
}

/* One tenant has a subscriber on one worker for a while, and publishes from each. */
static void go_round(struct scene *scene, unsigned round, uint64_t *random) {
    struct feed_subscriber subscriber = {.session.wire = CAR_WIRE_SSE};
    struct visit visit = {scene, &subscriber, scene->tenants[race_random(random) % (1 + round % TENANTS)]};
    unsigned worker = race_random(random) % WORKERS;
    feed_call(&scene->feed, worker, join, &visit);
    for (unsigned i = 0; i < WORKERS; i++) {
        unsigned count = 1 + race_random(random) % 100; /* more than a lane holds, now and then */
        atomic_fetch_add(&scene->published, count);
        feed_publish_from(&scene->feed, i, visit.tenant, count, 8);
    }
    feed_barrier(&scene->feed);
    feed_call(&scene->feed, worker, leave, &visit);
}

static void test_traffic(void) {
    static struct scene scene;
    pthread_t scrapers[SCRAPERS];
    uint64_t random = race_seed(7);
    uint64_t started = race_now_ms();
    memset(&scene, 0, sizeof scene);
    feed_open(&scene.feed, WORKERS, 500);
    for (unsigned i = 0; i < TENANTS; i++) {
        scene.tenants[i] = feed_tenant(&scene.feed, (const char *[]){"a", "b", "c"}[i]);
    }
    scene.tops = car_tops_new(1);
    feed_start(&scene.feed);
    for (unsigned i = 0; i < SCRAPERS; i++) {
        pthread_create(&scrapers[i], NULL, scrape, &scene);
    }
    unsigned rounds = race_rounds(3000);
    for (unsigned i = 0; i < rounds && race_now_ms() - started < TEST_MS * RACE_COST; i++) {
        go_round(&scene, i, &random);
    }
    feed_wait_answers(&scene.feed, atomic_load(&scene.published));
    atomic_store(&scene.over, true);
    race_join(scrapers, SCRAPERS);
    struct car_traffic all = {0};
    for (unsigned i = 0; i < TENANTS; i++) {
        struct car_traffic one = car_tenant_traffic(&scene.feed.feed, scene.tenants[i], scene.feed.reader);
        all.published += one.published;
        all.delivered += one.delivered;
    }
    CU_ASSERT_EQUAL(all.published, atomic_load(&scene.published));
    CU_ASSERT_EQUAL(all.delivered, atomic_load(&scene.delivered));
    CU_ASSERT_EQUAL(atomic_load(&scene.faults), 0);
    CU_ASSERT(all.delivered > 0);
    car_tops_free(&scene.tops);
    feed_close(&scene.feed);
}

static const struct car_test TESTS[] = {
    {"cells and who sums them", test_cells},
    {"traffic of tenants whose lanes come and go", test_traffic},
};

int main(void) {
    race_watch();
    return car_suite_main("metrics", TESTS, sizeof TESTS / sizeof *TESTS);
}
