#include "carillon/guard/buckets.h"

#include <malloc.h>
#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/runtime/reclaim.h"

#include "race.h"
#include "suite.h"

#define THREADS 4u
#define KEYS    6u
#define COUNT   3u
#define WINDOW  UINT64_C(1000000000)
#define BEGUN   (1000 * WINDOW)
#define TEST_MS 4000u

struct scene {
    struct car_reclaim *domain;
    struct car_buckets *buckets;
    pthread_barrier_t turn;
    unsigned rounds;
    bool giving_back;
    _Atomic uint64_t now;
    atomic_bool stop;
    atomic_uint met;
    atomic_ulong taken[KEYS];
    atomic_ulong faults, strangers;
};

struct worker {
    struct scene *scene;
    unsigned index;
    uint64_t dice;
    struct car_reader *reader;
};

static struct scene s;

static uint64_t scene_clock(void) {
    return atomic_load(&s.now);
}

static int take(struct worker *me, const char *kind, unsigned number, uint64_t cost) {
    char text[32];
    struct car_rate_state out;
    struct car_span key = car_span_of(text, (size_t)snprintf(text, sizeof text, "%s-%u", kind, number));
    uint64_t now = scene_clock();
    race_stall(&me->dice);
    int err = car_buckets_take(s.buckets, me->reader, key, now, cost, &out);
    if (err == 0 && s.giving_back && race_random(&me->dice) % 4 == 0) {
        car_buckets_give_back(s.buckets, me->reader, key, now, cost, scene_clock);
        err = 1;
    } else if (err && (err != CAR_EFULL || out.retry == 0)) {
        atomic_fetch_add(&s.faults, 1);
    }
    car_reader_poll(me->reader);
    return err;
}

/* A unit from one of a few keys, without a moment lost. */
static int take_at_once(struct worker *me, unsigned key) {
    static const char KEYS_TEXT[] = "0123456789";
    struct car_rate_state out;
    return car_buckets_take(s.buckets, me->reader, car_span_of(KEYS_TEXT + key, 1), scene_clock(), 1, &out);
}

/* Somebody who was never seen, so that others are looked at. */
static void stranger(struct worker *me) {
    (void)take(me, "stranger", (unsigned)atomic_fetch_add(&s.strangers, 1), COUNT);
}

static void scene_open(uint64_t window_ms, size_t max) {
    memset(&s, 0, sizeof s);
    s.domain = car_reclaim_new();
    s.buckets = car_buckets_new(&(struct car_rate_limit){COUNT, window_ms}, max, BEGUN);
    atomic_store(&s.now, BEGUN);
    pthread_barrier_init(&s.turn, NULL, THREADS);
}

static void play(void *(*run)(void *), unsigned count) {
    pthread_t threads[THREADS];
    static struct worker workers[THREADS];
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.scene = &s, .index = i, .dice = race_seed(i)};
        pthread_create(&threads[i], NULL, run, &workers[i]);
    }
    race_join(threads, count);
    CU_ASSERT_EQUAL(atomic_load(&s.faults), 0);
}

static void scene_close(void) {
    car_buckets_free(&s.buckets);
    car_reclaim_free(&s.domain);
    pthread_barrier_destroy(&s.turn);
}

/*
 * A thread that takes and one that brings strangers in, let loose at the same moment, round after round. At a round's
 * beginning everything is there again, so the strangers' coming ends the keys' states just when they are first taken
 * from. Each key gives what it has, to the unit, from the state that ends, or the next.
 */
#define PAIR         2u
#define FEW          4u /* keys, so that each is looked at in each round */
#define STRANGERS    2u
#define SPINS        200u /* until the processor is let go */
#define DELAY_ROUNDS 600u /* about what bringing a stranger in takes */

/* A barrier that lets go within nanoseconds, where both threads have a processor. */
static void meet(unsigned *met) {
    atomic_fetch_add(&s.met, 1);
    *met += PAIR;
    for (unsigned i = 0; atomic_load(&s.met) < *met; i++) {
        if (i % SPINS == SPINS - 1) {
            sched_yield();
        }
    }
}

static void take_each(struct worker *me) {
    for (volatile uint32_t i = race_random(&me->dice) % DELAY_ROUNDS; i > 0; i--) {
    }
    unsigned long units[FEW] = {0};
    for (unsigned key = 0; key < FEW; key++) {
        units[key] += take_at_once(me, key) == 0;
    }
    for (unsigned key = 0; key < FEW; key++) {
        while (take_at_once(me, key) == 0) {
            units[key]++;
        }
        if (units[key] != COUNT) {
            atomic_fetch_add(&s.faults, 1);
        }
    }
    car_reader_poll(me->reader);
}

static void *take_in_rounds(void *arg) {
    struct worker *me = arg;
    me->reader = car_reader_open(s.domain);
    race_pin(me->index);
    uint64_t started = race_now_ms();
    unsigned met = 0;
    for (unsigned round = 0; round < s.rounds && !atomic_load(&s.stop); round++) {
        meet(&met);
        if (me->index == 0) {
            take_each(me);
        } else {
            for (unsigned i = 0; i < STRANGERS; i++) {
                stranger(me);
            }
        }
        meet(&met);
        if (me->index == 0) {
            atomic_fetch_add(&s.now, 2 * WINDOW);
            atomic_store(&s.stop, race_time_up(started, TEST_MS, round));
        }
        meet(&met);
    }
    car_reader_close(&me->reader);
    return NULL;
}

static void none_is_lost_or_counts_twice(void) {
    scene_open(WINDOW / 1000000, 1000);
    s.rounds = race_rounds(400000);
    play(take_in_rounds, PAIR);
    CU_ASSERT_TRUE(atomic_load(&s.strangers) > car_buckets_count(s.buckets)); /* some have gone */
    scene_close();
}

/* The clock moves on by a part of a unit whenever the key that a thread saturates has refused it. */
static void *take_on_and_on(void *arg) {
    struct worker *me = arg;
    me->reader = car_reader_open(s.domain);
    uint64_t started = race_now_ms();
    pthread_barrier_wait(&s.turn);
    for (unsigned i = 0; i < s.rounds && !race_time_up(started, TEST_MS, i); i++) {
        for (unsigned key = 0; key < KEYS; key++) {
            unsigned long units = 0;
            while (take(me, "key", key, 1) == 0) {
                units++;
            }
            atomic_fetch_add(&s.taken[key], units);
        }
        if (race_random(&me->dice) % 4 == 0) {
            stranger(me);
        }
        atomic_fetch_add(&s.now, WINDOW / COUNT / 3);
    }
    car_reader_close(&me->reader);
    return NULL;
}

static double allowance(void) {
    return COUNT * (1 + (double)(atomic_load(&s.now) - BEGUN) / (double)WINDOW);
}

static void saturated_beside_strangers(void) {
    scene_open(WINDOW / 1000000, 100000);
    s.rounds = race_rounds(100000);
    play(take_on_and_on, THREADS);
    struct worker last = {.scene = &s, .dice = 1, .reader = car_reader_open(s.domain)};
    for (unsigned key = 0; key < KEYS; key++) {
        while (take(&last, "key", key, 1) == 0) {
            atomic_fetch_add(&s.taken[key], 1);
        }
        CU_ASSERT_TRUE((double)atomic_load(&s.taken[key]) <= allowance());
        CU_ASSERT_TRUE((double)atomic_load(&s.taken[key]) >= allowance() * 0.98 - 1);
    }
    car_reader_close(&last.reader);
    CU_ASSERT_TRUE(atomic_load(&s.strangers) > car_buckets_count(s.buckets));
    scene_close();
}

/* Too few places: keys come in, go out, and share the one, in turn, and still none gets more than its limit. */
static void a_crowd(void) {
    for (unsigned i = 0; i < 2; i++) {
        scene_open(WINDOW / 1000000, KEYS - 2);
        s.rounds = race_rounds(100000);
        s.giving_back = i == 1;
        play(take_on_and_on, THREADS);
        unsigned long taken = 0;
        for (unsigned key = 0; key < KEYS; key++) {
            CU_ASSERT_TRUE((double)atomic_load(&s.taken[key]) <= allowance());
            taken += atomic_load(&s.taken[key]);
        }
        CU_ASSERT_TRUE(taken > COUNT);
        CU_ASSERT_TRUE(car_buckets_count(s.buckets) <= KEYS - 2);
        scene_close();
    }
}

static const struct car_test TESTS[] = {
    {"no take is lost, none counts twice", none_is_lost_or_counts_twice},
    {"saturated, beside strangers", saturated_beside_strangers},
    {"a crowd", a_crowd},
};

int main(void) {
    race_watch();
    mallopt(M_PERTURB, 0xa5); /* a bucket freed under a taker shall not look as it did */
    return car_suite_main("race_buckets", TESTS, sizeof TESTS / sizeof *TESTS);
}
