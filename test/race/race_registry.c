#include "carillon/feed/registry.h"

#include <malloc.h>
#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"

#include "race.h"
#include "suite.h"

#define ADDERS     3u
#define READERS    2u
#define SHARED_MAX 3000u
#define TEST_MS    5000u

struct scene {
    struct car_reclaim *domain;
    struct car_registry *registry;
    pthread_barrier_t start;
    unsigned each;                /* ids of its own that an adder adds; every other id it adds is shared */
    atomic_uint progress[ADDERS]; /* how many of an adder's own ids are inside for sure */
    _Atomic(struct car_tenant *) shared[SHARED_MAX]; /* the one tenant of each shared id */
    atomic_uint first[SHARED_MAX];                   /* how many adders were told that they were the first */
    atomic_uint adders_done;
    atomic_ulong faults;
    atomic_ulong finds;
};

struct worker {
    struct scene *scene;
    unsigned index;
};

static struct car_span own_id(char *text, size_t size, unsigned adder, unsigned number) {
    return car_span_of(text, (size_t)snprintf(text, size, "own-%u-%u", adder, number));
}

static struct car_span shared_id(char *text, size_t size, unsigned number) {
    return car_span_of(text, (size_t)snprintf(text, size, "shared.%u", number));
}

static void fault(struct scene *s) {
    atomic_fetch_add(&s->faults, 1);
}

static void add_shared(struct scene *s, struct car_reader *reader, unsigned number) {
    char text[CAR_TENANT_ID_MAX];
    struct car_span id = shared_id(text, sizeof text, number);
    struct car_tenant *tenant = NULL;
    int err = car_registry_add(s->registry, reader, id, &tenant);
    if (err == 0) {
        atomic_fetch_add(&s->first[number], 1);
    } else if (err != CAR_EEXIST) {
        fault(s);
    }
    struct car_tenant *known = NULL;
    if (!tenant || !car_span_eq(car_tenant_id(tenant), id) ||
        (!atomic_compare_exchange_strong(&s->shared[number], &known, tenant) && known != tenant)) {
        fault(s); /* whoever adds an id gets the same tenant */
    }
}

static void add_own(struct scene *s, struct car_reader *reader, unsigned adder, unsigned number) {
    char text[CAR_TENANT_ID_MAX];
    struct car_span id = own_id(text, sizeof text, adder, number);
    struct car_tenant *tenant = NULL;
    if (car_registry_find(s->registry, reader, id)) {
        fault(s);
    }
    if (car_registry_add(s->registry, reader, id, &tenant) != 0 ||
        car_registry_find(s->registry, reader, id) != tenant) {
        fault(s);
    }
    atomic_store(&s->progress[adder], number + 1);
}

static void *add_all(void *arg) {
    struct worker *me = arg;
    struct scene *s = me->scene;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed(me->index);
    pthread_barrier_wait(&s->start);
    for (unsigned i = 0; i < s->each; i++) {
        add_shared(s, reader, i);
        race_stall(&dice);
        add_own(s, reader, me->index, i);
        car_reader_poll(reader);
    }
    atomic_fetch_add(&s->adders_done, 1);
    car_reader_close(&reader);
    return NULL;
}

/* What was added is found, from that moment on, whatever the set is being turned into. */
static void *find_all(void *arg) {
    struct worker *me = arg;
    struct scene *s = me->scene;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed(10 + me->index);
    unsigned long finds = 0;
    pthread_barrier_wait(&s->start);
    do {
        char text[CAR_TENANT_ID_MAX];
        unsigned adder = race_random(&dice) % ADDERS;
        unsigned inside = atomic_load(&s->progress[adder]);
        if (inside > 0) {
            struct car_span id = own_id(text, sizeof text, adder, race_random(&dice) % inside);
            struct car_tenant *tenant = car_registry_find(s->registry, reader, id);
            if (!tenant || !car_span_eq(car_tenant_id(tenant), id)) {
                fault(s);
            }
        }
        struct car_span id = shared_id(text, sizeof text, race_random(&dice) % s->each);
        struct car_tenant *tenant = car_registry_find(s->registry, reader, id);
        if (tenant && !car_span_eq(car_tenant_id(tenant), id)) {
            fault(s);
        }
        if (car_registry_find(s->registry, reader, own_id(text, sizeof text, ADDERS, inside))) {
            fault(s); /* nobody has added it */
        }
        if (++finds % 256 == 0) {
            sched_yield();
        }
    } while (atomic_load(&s->adders_done) < ADDERS);
    atomic_fetch_add(&s->finds, finds);
    car_reader_close(&reader);
    return NULL;
}

static void count_visit(struct car_tenant *tenant, void *user) {
    unsigned *count = user;
    *count += car_tenant_id(tenant).len > 0;
}

static void scene_open(struct scene *s, size_t max, unsigned parties) {
    memset(s, 0, sizeof *s);
    s->domain = car_reclaim_new();
    s->registry = car_registry_new(max);
    pthread_barrier_init(&s->start, NULL, parties);
}

static void scene_close(struct scene *s) {
    CU_ASSERT_EQUAL(atomic_load(&s->faults), 0);
    car_registry_free(&s->registry);
    car_reclaim_free(&s->domain);
    pthread_barrier_destroy(&s->start);
}

static void add_and_find_once(struct scene *s) {
    scene_open(s, 100000, ADDERS + READERS);
    s->each = race_rounds(SHARED_MAX * 4) < SHARED_MAX ? race_rounds(SHARED_MAX * 4) : SHARED_MAX;
    pthread_t threads[ADDERS + READERS];
    struct worker workers[ADDERS + READERS];
    for (unsigned i = 0; i < ADDERS + READERS; i++) {
        workers[i] = (struct worker){.scene = s, .index = i};
        pthread_create(&threads[i], NULL, i < ADDERS ? add_all : find_all, &workers[i]);
    }
    race_join(threads, ADDERS + READERS);
    CU_ASSERT_EQUAL(car_registry_count(s->registry), (ADDERS + 1) * s->each);
    unsigned visited = 0;
    car_registry_each(s->registry, count_visit, &visited);
    CU_ASSERT_EQUAL(visited, (ADDERS + 1) * s->each);
    for (unsigned i = 0; i < s->each; i++) {
        CU_ASSERT_EQUAL(atomic_load(&s->first[i]), 1);
    }
    CU_ASSERT(atomic_load(&s->finds) > 0);
    scene_close(s);
}

/* Anew while there is time: a set grows only once. */
static void add_and_find(void) {
    static struct scene s;
    uint64_t started = race_now_ms();
    do {
        add_and_find_once(&s);
    } while (race_now_ms() - started < TEST_MS / 2);
}

#define LIMIT 100u

static void *add_past_limit(void *arg) {
    struct worker *me = arg;
    struct scene *s = me->scene;
    struct car_reader *reader = car_reader_open(s->domain);
    pthread_barrier_wait(&s->start);
    for (unsigned i = 0; i < LIMIT; i++) {
        char text[CAR_TENANT_ID_MAX];
        struct car_tenant *tenant = NULL;
        int err = car_registry_add(s->registry, reader, own_id(text, sizeof text, me->index, i), &tenant);
        if (err == 0) {
            atomic_fetch_add(&s->finds, 1);
        } else if (err != CAR_EFULL || tenant) {
            fault(s);
        }
        if (car_registry_count(s->registry) > LIMIT) {
            fault(s);
        }
    }
    car_reader_close(&reader);
    return NULL;
}

static void limit_holds(void) {
    static struct scene s;
    unsigned rounds = race_rounds(2000);
    uint64_t started = race_now_ms();
    for (unsigned round = 0; round < rounds && race_now_ms() - started < TEST_MS; round++) {
        scene_open(&s, LIMIT, ADDERS);
        pthread_t threads[ADDERS];
        struct worker workers[ADDERS];
        for (unsigned i = 0; i < ADDERS; i++) {
            workers[i] = (struct worker){.scene = &s, .index = i};
            pthread_create(&threads[i], NULL, add_past_limit, &workers[i]);
        }
        race_join(threads, ADDERS);
        CU_ASSERT_EQUAL(atomic_load(&s.finds), LIMIT);
        CU_ASSERT_EQUAL(car_registry_count(s.registry), LIMIT);
        scene_close(&s);
    }
}

static const struct car_test TESTS[] = {
    {"adders of the same and of other ids, readers beside them", add_and_find},
    {"the limit holds, whoever comes first", limit_holds},
};

int main(void) {
    race_watch();
    mallopt(M_PERTURB, 0xa5); /* a table freed under a reader shall not look as it did */
    return car_suite_main("race_registry", TESTS, sizeof TESTS / sizeof *TESTS);
}
