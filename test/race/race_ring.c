#include "carillon/feed/ring.h"

#include <ck_ring.h>
#include <limits.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "race.h"
#include "suite.h"

/*
 * After the validators of Concurrency Kit's regressions/ck_ring: rings of 4 slots, so that they are full or empty
 * nearly all the time, cursors that wrap around early in the run, random stalls on both sides.
 */
#define SLOTS     4u
#define PRODUCERS 3u
#define TEST_MS   2500u
#define MUD       8u

/* A cache line of its own, written by putters and drainers alike. */
struct mud {
    alignas(CK_MD_CACHELINE) atomic_uint word;
};

/* Written by its producer before the put, and by the taker after the take: both plainly, so that ThreadSanitizer sees
 * whether the ring orders them. */
struct item {
    unsigned producer;
    unsigned number;
    unsigned check;
    bool taken;
};

struct scene {
    struct car_ring *ring;
    bool (*put)(struct car_ring *ring, void *item);
    void *(*take)(struct car_ring *ring);
    pthread_barrier_t start;
    uint64_t started_ms;
    unsigned each; /* items that a producer puts, where there is time */
    unsigned producers;
    unsigned long put_count[PRODUCERS]; /* that it did put; to be read after the join */
    atomic_uint finished;               /* producers that put no more */
    struct item *items[PRODUCERS];

    /* written by the one taker at a time */
    unsigned next[PRODUCERS];
    unsigned long total;
    unsigned long faults;

    /* on lines of their own, so that each store takes its time to be seen */
    alignas(CK_MD_CACHELINE) atomic_bool draining;
    alignas(CK_MD_CACHELINE) atomic_bool inside;
    struct mud mud[MUD];
    atomic_ulong overlaps;
};

struct producer {
    struct scene *scene;
    unsigned index;
};

/* Puts the cursors a little before UINT_MAX; nothing is inside yet. */
static void begin_near_wrap(struct car_ring *ring) {
    ck_ring_t *cursors = (ck_ring_t *)(void *)ring; /* car_ring's first member, as ring.c says */
    cursors->c_head = cursors->p_head = cursors->p_tail = UINT_MAX - 2000;
}

static void scene_open(struct scene *s, unsigned producers, unsigned each, unsigned parties) {
    *s = (struct scene){.put = car_ring_put_mpsc, .take = car_ring_take_mpsc, .each = each, .producers = producers};
    s->started_ms = race_now_ms();
    s->ring = car_ring_new(SLOTS);
    begin_near_wrap(s->ring);
    pthread_barrier_init(&s->start, NULL, parties);
    for (unsigned p = 0; p < producers; p++) {
        s->items[p] = malloc(each * sizeof(struct item));
    }
}

static void scene_close(struct scene *s) {
    CU_ASSERT_EQUAL(s->faults, 0);
    CU_ASSERT_EQUAL(car_ring_count(s->ring), 0);
    CU_ASSERT_PTR_NULL(s->take(s->ring));
    unsigned long put = 0;
    for (unsigned p = 0; p < s->producers; p++) {
        CU_ASSERT_EQUAL(s->next[p], s->put_count[p]);
        put += s->put_count[p];
        free(s->items[p]);
    }
    CU_ASSERT_EQUAL(s->total, put);
    CU_ASSERT(put >= 64);
    pthread_barrier_destroy(&s->start);
    car_ring_free(&s->ring);
    CU_ASSERT_PTR_NULL(s->ring);
}

static struct item *make_item(struct scene *s, unsigned producer, unsigned number) {
    struct item *item = &s->items[producer][number];
    *item = (struct item){.producer = producer, .number = number, .check = ~number ^ producer};
    return item;
}

/* Each item once, those of a producer in its order. */
static void check_item(struct scene *s, struct item *item) {
    bool right = item->producer < s->producers && item->check == (~item->number ^ item->producer) && !item->taken &&
                 item->number == s->next[item->producer];
    if (right) {
        s->next[item->producer]++;
    } else {
        s->faults++;
    }
    item->taken = true;
    s->total++;
}

static void *put_all(void *arg) {
    struct producer *me = arg;
    struct scene *s = me->scene;
    uint64_t dice = race_seed(me->index);
    pthread_barrier_wait(&s->start);
    unsigned i = 0;
    while (i < s->each && !race_time_up(s->started_ms, TEST_MS, i)) {
        struct item *item = make_item(s, me->index, i++);
        race_stall(&dice);
        while (!s->put(s->ring, item)) {
            sched_yield();
        }
    }
    s->put_count[me->index] = i;
    atomic_fetch_add(&s->finished, 1);
    return NULL;
}

/* Takes until all have finished and nothing is left. */
static void take_all(struct scene *s) {
    uint64_t dice = race_seed(99);
    for (;;) {
        bool last = atomic_load(&s->finished) == s->producers;
        struct item *item = s->take(s->ring);
        if (item) {
            check_item(s, item);
        } else if (last) {
            return;
        } else {
            sched_yield();
        }
        race_stall(&dice);
    }
}

static void run_one_taker(unsigned producers, unsigned each, bool (*put)(struct car_ring *, void *),
                          void *(*take)(struct car_ring *)) {
    struct scene s;
    scene_open(&s, producers, each, producers + 1);
    s.put = put;
    s.take = take;
    struct producer args[PRODUCERS];
    pthread_t threads[PRODUCERS];
    for (unsigned p = 0; p < producers; p++) {
        args[p] = (struct producer){.scene = &s, .index = p};
        pthread_create(&threads[p], NULL, put_all, &args[p]);
    }
    pthread_barrier_wait(&s.start);
    take_all(&s);
    race_join(threads, producers);
    scene_close(&s);
}

static void many_putters(void) {
    run_one_taker(PRODUCERS, race_rounds(400000), car_ring_put_mpsc, car_ring_take_mpsc);
}

static void one_putter(void) {
    run_one_taker(1, race_rounds(1500000), car_ring_put_spsc, car_ring_take_spsc);
}

/* The count as a third thread sees it: never more than fits. */
static void *watch_count(void *arg) {
    struct scene *s = arg;
    pthread_barrier_wait(&s->start);
    unsigned long wrong = 0;
    while (!atomic_load(&s->draining)) {
        for (unsigned i = 0; i < 4096; i++) {
            wrong += car_ring_count(s->ring) > SLOTS - 1;
        }
        sched_yield();
    }
    atomic_fetch_add(&s->overlaps, wrong);
    return NULL;
}

static void count_from_outside(void) {
    struct scene s;
    scene_open(&s, 1, race_rounds(1000000), 3);
    s.put = car_ring_put_spsc;
    s.take = car_ring_take_spsc;
    struct producer arg = {.scene = &s, .index = 0};
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, put_all, &arg);
    pthread_create(&threads[1], NULL, watch_count, &s);
    pthread_barrier_wait(&s.start);
    take_all(&s);
    atomic_store(&s.draining, true);
    race_join(threads, 2);
    CU_ASSERT_EQUAL(atomic_load(&s.overlaps), 0);
    scene_close(&s);
}

/* Stores that miss the cache, since the other side wrote the same lines last: what is stored next waits behind them in
 * this core's buffer, while loads go ahead. A missing fence is seen that way; without, once in millions of times. */
static void fill_store_buffer(struct scene *s) {
    for (unsigned i = 0; i < MUD; i++) {
        atomic_store_explicit(&s->mud[i].word, i, memory_order_relaxed);
    }
}

/* The taker's side goes from thread to thread: whoever turns `draining` to true drains. Here with the weakest order
 * that the protocol allows: a release and a full fence, not an exchange, on the way out. */
static void drain(struct scene *s) {
    atomic_thread_fence(memory_order_seq_cst); /* the put before the look at the flag; partner: below */
    while (!atomic_exchange_explicit(&s->draining, true, memory_order_acquire)) {
        /* Loads and stores: a locked instruction here would be the very fence that is to be tested. */
        if (atomic_load_explicit(&s->inside, memory_order_relaxed)) {
            atomic_fetch_add(&s->overlaps, 1);
        }
        atomic_store_explicit(&s->inside, true, memory_order_relaxed);
        struct item *item;
        while ((item = s->take(s->ring))) {
            check_item(s, item);
        }
        atomic_store_explicit(&s->inside, false, memory_order_relaxed);
        fill_store_buffer(s);
        atomic_store_explicit(&s->draining, false, memory_order_release);
        atomic_thread_fence(memory_order_seq_cst); /* the flag down before the last look at the ring */
        if (car_ring_count(s->ring) == 0) {
            break;
        }
    }
}

static void *put_and_drain(void *arg) {
    struct producer *me = arg;
    struct scene *s = me->scene;
    uint64_t dice = race_seed(me->index);
    pthread_barrier_wait(&s->start);
    unsigned i = 0;
    while (i < s->each && !race_time_up(s->started_ms, TEST_MS, i)) {
        struct item *item = make_item(s, me->index, i++);
        race_stall(&dice);
        while (!s->put(s->ring, item)) {
            drain(s);
            sched_yield();
        }
        drain(s);
    }
    s->put_count[me->index] = i;
    return NULL;
}

static void taker_handed_on(void) {
    struct scene s;
    scene_open(&s, PRODUCERS, race_rounds(500000), PRODUCERS);
    struct producer args[PRODUCERS];
    pthread_t threads[PRODUCERS];
    for (unsigned p = 0; p < PRODUCERS; p++) {
        args[p] = (struct producer){.scene = &s, .index = p};
        pthread_create(&threads[p], NULL, put_and_drain, &args[p]);
    }
    race_join(threads, PRODUCERS);
    CU_ASSERT_EQUAL(atomic_load(&s.overlaps), 0);
    scene_close(&s);
}

/* Two threads meet, put one item each, drain, meet again: nothing may lie in the ring then. */
#define PAIR 2u

struct pair {
    struct scene scene;
    atomic_uint arrived;
    atomic_bool over;
    atomic_ulong stuck;
};

struct partner {
    struct pair *pair;
    unsigned index;
};

static void meet(struct pair *pair, unsigned *times) {
    *times += PAIR;
    atomic_fetch_add(&pair->arrived, 1);
    for (unsigned spins = 0; atomic_load(&pair->arrived) < *times; spins++) {
        if (spins > 200) {
            sched_yield();
        }
    }
}

static void *put_together(void *arg) {
    struct partner *me = arg;
    struct scene *s = &me->pair->scene;
    uint64_t dice = race_seed(me->index);
    unsigned times = 0;
    unsigned i = 0;
    race_pin(me->index);
    while (i < s->each && !atomic_load(&me->pair->over)) {
        struct item *item = make_item(s, me->index, i++);
        fill_store_buffer(s);
        meet(me->pair, &times);
        for (volatile uint32_t wait = race_random(&dice) & 63; wait > 0; wait--) {
        }
        if (!s->put(s->ring, item)) {
            race_fail("race_ring: full with two items");
        }
        drain(s);
        meet(me->pair, &times);
        if (me->index == 0) {
            if (car_ring_count(s->ring) > 0) {
                atomic_fetch_add(&me->pair->stuck, 1);
                drain(s);
            }
            atomic_store(&me->pair->over, race_time_up(s->started_ms, TEST_MS, i));
        }
        meet(me->pair, &times); /* so that both know whether it is over */
    }
    s->put_count[me->index] = i;
    return NULL;
}

static void none_stuck(void) {
    static struct pair pair;
    scene_open(&pair.scene, PAIR, race_rounds(1000000), 1);
    struct partner args[PAIR];
    pthread_t threads[PAIR];
    for (unsigned p = 0; p < PAIR; p++) {
        args[p] = (struct partner){.pair = &pair, .index = p};
        pthread_create(&threads[p], NULL, put_together, &args[p]);
    }
    race_join(threads, PAIR);
    CU_ASSERT_EQUAL(atomic_load(&pair.stuck), 0);
    CU_ASSERT_EQUAL(atomic_load(&pair.scene.overlaps), 0);
    scene_close(&pair.scene);
}

static const struct car_test TESTS[] = {
    {"mpsc: each item once, in its putter's order", many_putters},
    {"spsc: each item once, in order", one_putter},
    {"count: never more than fits, whoever asks", count_from_outside},
    {"mpsc: the taker's side goes from thread to thread", taker_handed_on},
    {"mpsc: no item stays behind when the taker lets go", none_stuck},
};

int main(void) {
    race_watch();
    return car_suite_main("race_ring", TESTS, sizeof TESTS / sizeof *TESTS);
}
