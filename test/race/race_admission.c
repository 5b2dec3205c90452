#include "carillon/guard/admission.h"

#include "carillon/base/clock.h"
#include "carillon/guard/recent.h"

#include "race.h"
#include "suite.h"

/* Threads that all let subscribers in at one door. Whatever they find, no more come in than the limit says, and
 * nobody's count is lost. */

#define THREADS 4u
#define TENANTS 8u
#define TEST_MS 4000u
#define COUNT   5000u
#define HOUR    UINT64_C(3600000)

static struct car_admission door;
static _Atomic uint64_t came[TENANTS];
static atomic_uint in[TENANTS];
static pthread_barrier_t start;

static void *work(void *arg) {
    uint64_t dice = race_seed((unsigned)(uintptr_t)arg);
    uint64_t started = race_now_ms();
    unsigned rounds = race_rounds(400000);
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < rounds && !race_time_up(started, TEST_MS, i); i++) {
        unsigned tenant = (unsigned)(race_random(&dice) % TENANTS);
        unsigned retry = 0;
        race_stall(&dice);
        if (car_admission_ask(&door, &came[tenant], car_clock_mono_ns(), &retry)) {
            atomic_fetch_add_explicit(&in[tenant], 1, memory_order_relaxed);
        }
        (void)car_admission_is_news(&door, car_clock_mono_ns());
    }
    return NULL;
}

static void no_more_than_the_limit(void) {
    pthread_t threads[THREADS];
    car_admission_init(&door, &(struct car_rate_limit){.count = COUNT, .window_ms = HOUR});
    uint64_t began = car_clock_mono_ns();
    pthread_barrier_init(&start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
    }
    race_join(threads, THREADS);
    pthread_barrier_destroy(&start);
    double elapsed_ms = (double)(car_clock_mono_ns() - began) / 1e6;
    unsigned total = 0;
    for (unsigned i = 0; i < TENANTS; i++) {
        unsigned n = atomic_load(&in[i]);
        double counted = (double)car_recent_read(&came[i], HOUR, car_clock_mono_ns() / 1000000);
        CU_ASSERT_TRUE(counted > n * 0.99 - 1 && counted < n + 1.0);
        CU_ASSERT_TRUE(n < COUNT / TENANTS * 5 / 4);
        total += n;
    }
    CU_ASSERT_TRUE(total <= COUNT * (1 + elapsed_ms / (double)HOUR));
    CU_ASSERT_TRUE(total > 0);
}

static const struct car_test TESTS[] = {{"no more than the limit", no_more_than_the_limit}};

int main(void) {
    race_watch();
    return car_suite_main("race_admission", TESTS, sizeof TESTS / sizeof *TESTS);
}
