#include "carillon/guard/rates.h"

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/runtime/reclaim.h"

#include "race.h"
#include "suite.h"

/*
 * Requests of one tenant on many threads, as they come: an address's unit, a user's, then the events and their bytes,
 * of limits that lie in the tenant's terms, while its log gives it other terms with the same limits all the time. The
 * clock is the test's own and moves when a thread has been refused, or it is the real one.
 *
 * Over all of it no more goes through than the limit allows; and, by the test's clock, no less than 98 % of that.
 */

enum { THREADS = 4, BATCH_MAX = 5, BYTES = 10 /* of an event */, TEST_MS = 1500 };

#define BEGUN UINT64_C(1000000000000)

struct scene {
    struct car_rates rates;
    struct car_tenant_terms terms;
    struct car_tenant *tenant;
    struct car_grant *grant;
    struct car_reclaim *domain;
    pthread_barrier_t start;
    unsigned rounds;
    bool real;
    uint64_t step; /* of the clock, in ns */
    atomic_bool over;
    atomic_ulong events, bytes, requests, faults, changes;
};

struct worker {
    struct scene *scene;
    unsigned index;
};

static _Atomic uint64_t fake_now;

static uint64_t fake_clock(void) {
    return atomic_load(&fake_now);
}

/* One request; whether it went through. */
static bool ask(struct scene *s, struct car_reader *reader, const struct car_address *client, uint64_t events,
                uint64_t bytes) {
    struct car_takings takings;
    car_takings_init(&takings);
    int err = car_rates_take_ip(&s->rates, reader, client, false, &takings);
    err = err ? err : car_rates_take_user(&s->rates, reader, s->tenant, s->grant, &takings);
    err = err ? err : car_rates_take_events(&s->rates, reader, s->tenant, events, bytes, &takings);
    if (err && (err != CAR_EFULL || !takings.refused || car_takings_retry(&takings) == 0)) {
        atomic_fetch_add(&s->faults, 1);
    }
    return !err;
}

static bool ask_counted(struct scene *s, struct car_reader *reader, uint64_t events) {
    struct car_address client = {{[15] = 1}};
    bool through = ask(s, reader, &client, events, events * BYTES);
    if (through) {
        atomic_fetch_add(&s->requests, 1);
        atomic_fetch_add(&s->events, events);
        atomic_fetch_add(&s->bytes, events * BYTES);
    }
    (void)car_reader_poll(reader);
    return through;
}

static void *ask_all(void *arg) {
    struct worker *me = arg;
    struct scene *s = me->scene;
    struct car_reader *reader = car_reader_open(s->domain);
    uint64_t dice = race_seed(me->index);
    uint64_t started = race_now_ms();
    pthread_barrier_wait(&s->start);
    for (unsigned i = 0; i < s->rounds && !race_time_up(started, TEST_MS, i); i++) {
        uint64_t events = 1 + race_random(&dice) % BATCH_MAX;
        race_stall(&dice);
        if (!ask_counted(s, reader, events) && !s->real) {
            atomic_fetch_add(&fake_now, s->step);
        }
    }
    car_reader_close(&reader);
    return NULL;
}

/* The tenant's log: a name that changes, and limits that do not. */
static void *change_all(void *arg) {
    struct scene *s = ((struct worker *)arg)->scene;
    struct car_reader *reader = car_reader_open(s->domain);
    struct car_tenant_terms terms = s->terms;
    while (!atomic_load(&s->over)) {
        unsigned long n = atomic_fetch_add(&s->changes, 1);
        snprintf(terms.name, sizeof terms.name, "%lu", n);
        if (car_tenant_set_terms(s->tenant, reader, &terms) != 0) {
            atomic_fetch_add(&s->faults, 1);
        }
        (void)car_reader_poll(reader);
        sched_yield();
    }
    car_reader_close(&reader);
    return NULL;
}

static void play(struct scene *s) {
    pthread_t threads[THREADS];
    pthread_t log;
    struct worker workers[THREADS];
    atomic_store(&fake_now, BEGUN);
    s->rates.clock = s->real ? car_clock_mono_ns : fake_clock;
    CU_ASSERT_EQUAL_FATAL(car_rates_open(&s->rates), 0);
    s->domain = car_reclaim_new();
    s->tenant = car_tenant_new(CAR_SPAN("t"));
    s->grant = car_grant_new(s->tenant, CAR_SPAN("ann"), CAR_SCOPES_ALL);
    struct car_reader *reader = car_reader_open(s->domain);
    CU_ASSERT_EQUAL_FATAL(car_tenant_set_terms(s->tenant, reader, &s->terms), 0);
    pthread_barrier_init(&s->start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.scene = s, .index = i};
        pthread_create(&threads[i], NULL, ask_all, &workers[i]);
    }
    pthread_create(&log, NULL, change_all, &workers[0]);
    race_join(threads, THREADS);
    atomic_store(&s->over, true);
    race_join(&log, 1);
    pthread_barrier_destroy(&s->start);
    while (ask_counted(s, reader, 1)) { /* what is left, however far the threads have come */
    }
    CU_ASSERT_EQUAL(atomic_load(&s->faults), 0);
    CU_ASSERT_TRUE(atomic_load(&s->changes) > 0);
    car_reader_close(&reader);
}

static void end(struct scene *s) {
    car_rates_close(&s->rates);
    car_grant_unref(&s->grant);
    car_tenant_free(&s->tenant);
    car_reclaim_free(&s->domain);
}

static double allowance(uint64_t count, uint64_t window_ms, double elapsed_ns) {
    return (double)count * (1 + elapsed_ns / ((double)window_ms * 1e6));
}

static double elapsed(void) {
    return (double)(atomic_load(&fake_now) - BEGUN);
}

static bool within(double taken, double allowed, double largest) {
    return taken <= allowed && taken >= 0.98 * allowed - largest;
}

static const struct car_rate_limit LIMITS[] = {{1000, 1000}, {300, 1000}, {997, 60000}, {70, 3000}, {100000, 1000}};

static void events_of_one_tenant(void) {
    for (size_t i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        struct car_rate_limit limit = LIMITS[i];
        struct scene s = {.terms.limits = {.events = limit.count, .events_window_ms = limit.window_ms},
                          .step = limit.window_ms * UINT64_C(1000000) / limit.count / 2 + 1,
                          .rounds = race_rounds(300000)};
        play(&s);
        CU_ASSERT_TRUE(within((double)atomic_load(&s.events), allowance(limit.count, limit.window_ms, elapsed()), 1));
        end(&s);
    }
}

/* The bytes are what is short, so that most events are taken and given back; of these there are enough. */
static void bytes_of_one_tenant(void) {
    struct scene s = {.terms.limits = {.events = 5000, .events_window_ms = 1000, .bytes_s = 20000},
                      .step = 100000,
                      .rounds = race_rounds(300000)};
    play(&s);
    CU_ASSERT_TRUE(within((double)atomic_load(&s.bytes), allowance(20000, 1000, elapsed()), BYTES));
    CU_ASSERT_TRUE((double)atomic_load(&s.events) <= allowance(5000, 1000, elapsed()));
    end(&s);
}

/* The address's and the user's units are given back when the tenant's events are short. What the time has refilled
 * since they were taken is not, so it goes on in steps that are short beside one of their units, whoever is stalled. */
static void all_limits(void) {
    struct scene s = {.rates = {.ip = {800, 1000}, .user = {600, 1000}},
                      .terms.limits = {.events = 500, .events_window_ms = 1000},
                      .step = 50000,
                      .rounds = race_rounds(150000)};
    play(&s);
    CU_ASSERT_TRUE(within((double)atomic_load(&s.events), allowance(500, 1000, elapsed()), 1));
    CU_ASSERT_TRUE((double)atomic_load(&s.requests) <= allowance(600, 1000, elapsed()));
    end(&s);
}

static void no_more_by_the_real_clock(void) {
    struct scene s = {.rates = {.ip = {100000, 100}, .tenant = {1000, 100}}, .rounds = UINT32_MAX, .real = true};
    uint64_t begun = car_clock_mono_ns();
    play(&s);
    double took = (double)(car_clock_mono_ns() - begun);
    CU_ASSERT_TRUE((double)atomic_load(&s.events) <= allowance(1000, 100, took));
    CU_ASSERT_TRUE(atomic_load(&s.events) >= 1000);
    end(&s);
}

static const struct car_test TESTS[] = {
    {"events of one tenant", events_of_one_tenant},
    {"bytes of one tenant", bytes_of_one_tenant},
    {"all limits", all_limits},
    {"no more by the real clock", no_more_by_the_real_clock},
};

int main(void) {
    race_watch();
    return car_suite_main("race_rates", TESTS, sizeof TESTS / sizeof *TESTS);
}
