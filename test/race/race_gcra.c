#include "carillon/guard/gcra.h"

#include "carillon/base/clock.h"
#include "carillon/base/err.h"

#include "race.h"
#include "suite.h"

/*
 * Threads take from one state, one after the other as fast as they can. The clock is the test's own and moves only when
 * a thread has been refused, so the state never gets full again, and all that the limit allows has to be let through,
 * to the last unit; or it is the real one, and then no more than that.
 */

#define THREADS  4u
#define COST_MAX 5u
#define TEST_MS  1500u
#define BEGUN    UINT64_C(1000000000000)

struct scene {
    struct car_rate_limit limit;
    struct car_gcra gcra;
    pthread_barrier_t start;
    uint64_t step;                   /* of the clock, in nanoseconds */
    bool real, giving_back, used_up; /* used_up: the whole limit is taken at the start */
    unsigned rounds;
    _Atomic uint64_t state;
    atomic_ulong taken, faults;
    _Atomic uint64_t latest; /* the latest now that was used */
};

struct worker {
    struct scene *scene;
    unsigned index;
};

static _Atomic uint64_t fake_now;

static uint64_t fake_clock(void) {
    return atomic_load(&fake_now);
}

static void used(struct scene *s, uint64_t now) {
    uint64_t latest = atomic_load(&s->latest);
    while (latest < now && !atomic_compare_exchange_weak(&s->latest, &latest, now)) {
    }
}

/* A take, of which each fourth is given back where the scene says so. What stays taken; 0 where it was refused. */
static int take_once(struct scene *s, uint64_t *dice, uint64_t now, uint64_t cost, unsigned long *taken) {
    struct car_rate_state out;
    int err = car_gcra_take(&s->state, &s->gcra, now, cost, &out);
    if (err) {
        if (err != CAR_EFULL || out.retry == 0 || out.remaining > cost) {
            atomic_fetch_add(&s->faults, 1);
        }
        return err;
    }
    if (s->giving_back && race_random(dice) % 4 == 0) {
        race_stall(dice);
        car_gcra_give_back(&s->state, &s->gcra, now, cost, s->real ? car_clock_mono_ns : fake_clock);
    } else {
        *taken += cost;
    }
    return 0;
}

static void *take_all(void *arg) {
    struct worker *me = arg;
    struct scene *s = me->scene;
    uint64_t dice = race_seed(me->index);
    uint64_t started = race_now_ms();
    unsigned long taken = 0;
    pthread_barrier_wait(&s->start);
    for (unsigned i = 0; i < s->rounds && !race_time_up(started, TEST_MS, i); i++) {
        uint64_t now = s->real ? car_clock_mono_ns() : fake_clock();
        race_stall(&dice);
        used(s, now);
        if (take_once(s, &dice, now, 1 + race_random(&dice) % COST_MAX, &taken) && !s->real) {
            atomic_fetch_add(&fake_now, s->step);
        }
    }
    atomic_fetch_add(&s->taken, taken);
    return NULL;
}

static void play(struct scene *s, uint64_t begun) {
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    s->gcra = car_gcra_make(&s->limit);
    atomic_init(&s->state, car_gcra_fresh(&s->gcra, begun));
    atomic_store(&fake_now, begun);
    if (s->used_up) {
        struct car_rate_state out;
        CU_ASSERT_EQUAL(car_gcra_take(&s->state, &s->gcra, begun, s->limit.count, &out), 0);
        atomic_store(&s->taken, s->limit.count);
    }
    pthread_barrier_init(&s->start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.scene = s, .index = i};
        pthread_create(&threads[i], NULL, take_all, &workers[i]);
    }
    race_join(threads, THREADS);
    pthread_barrier_destroy(&s->start);
    CU_ASSERT_EQUAL(atomic_load(&s->faults), 0);
}

/* Units that have come in since. */
static double allowance(const struct scene *s, uint64_t begun) {
    double elapsed = (double)(atomic_load(&s->latest) - begun);
    return (double)s->limit.count * (1 + elapsed / ((double)s->limit.window_ms * 1e6));
}

static const struct car_rate_limit LIMITS[] = {{1000, 1000}, {300, 1000}, {997, 60000}, {70, 3000}, {1000000, 1000}};

static void all_of_it_and_no_more(void) {
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        struct scene s = {.limit = LIMITS[i], .rounds = race_rounds(400000), .used_up = true};
        s.step = LIMITS[i].window_ms * UINT64_C(1000000) / LIMITS[i].count / 2 + 1;
        play(&s, BEGUN);
        struct car_rate_state out;
        while (car_gcra_take(&s.state, &s.gcra, atomic_load(&s.latest), 1, &out) == 0) {
            atomic_fetch_add(&s.taken, 1);
        }
        double taken = (double)atomic_load(&s.taken);
        CU_ASSERT_TRUE(taken > (double)LIMITS[i].count);
        CU_ASSERT_TRUE(taken <= allowance(&s, BEGUN));
        CU_ASSERT_TRUE(taken > allowance(&s, BEGUN) * (1 - 1e-6) - 1.001);
    }
}

static void no_more_by_the_real_clock(void) {
    struct scene s = {.limit = {2000, 100}, .rounds = UINT32_MAX, .real = true};
    uint64_t begun = car_clock_mono_ns();
    play(&s, begun);
    CU_ASSERT_TRUE(atomic_load(&s.taken) >= s.limit.count);
    CU_ASSERT_TRUE((double)atomic_load(&s.taken) <= allowance(&s, begun));
}

static void no_more_with_takes_given_back(void) {
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        struct scene s = {.limit = LIMITS[i], .rounds = race_rounds(400000), .giving_back = true};
        s.step = LIMITS[i].window_ms * UINT64_C(1000000) / LIMITS[i].count / 2 + 1;
        play(&s, BEGUN);
        CU_ASSERT_TRUE((double)atomic_load(&s.taken) <= allowance(&s, BEGUN));
    }
    struct scene s = {.limit = {2000, 100}, .rounds = UINT32_MAX, .real = true, .giving_back = true};
    uint64_t begun = car_clock_mono_ns();
    play(&s, begun);
    CU_ASSERT_TRUE((double)atomic_load(&s.taken) <= allowance(&s, begun));
}

/* Where the clock stands still, what is given back is there again, all of it. */
static void given_back_is_there_again(void) {
    struct scene s = {.limit = {100, 1000}, .rounds = race_rounds(400000), .giving_back = true};
    play(&s, BEGUN);
    struct car_rate_state out;
    while (car_gcra_take(&s.state, &s.gcra, BEGUN, 1, &out) == 0) {
        atomic_fetch_add(&s.taken, 1);
    }
    CU_ASSERT_EQUAL(atomic_load(&s.taken), 100);
}

static const struct car_test TESTS[] = {
    {"all that is allowed, and no more", all_of_it_and_no_more},
    {"no more by the real clock", no_more_by_the_real_clock},
    {"no more with takes given back", no_more_with_takes_given_back},
    {"what is given back is there again", given_back_is_there_again},
};

int main(void) {
    race_watch();
    return car_suite_main("race_gcra", TESTS, sizeof TESTS / sizeof *TESTS);
}
