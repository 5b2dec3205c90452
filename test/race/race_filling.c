#include "carillon/feed/filling.h"

#include "race.h"
#include "suite.h"

/* Threads that all fill memory up: of those who find the room at its end, exactly one asks for a look. */

#define THREADS 4u
#define ROOM    UINT64_C(1000)
#define TEST_MS 4000u

static struct car_filling filling;
static atomic_uint asked;
static atomic_uint_fast64_t added;
static atomic_bool over;
static pthread_barrier_t begin, end;

static void ask(void *user) {
    (void)user;
    CU_ASSERT_TRUE(atomic_load(&added) >= ROOM); /* said before it was taken */
    atomic_fetch_add(&asked, 1);
}

static void *fill(void *arg) {
    uint64_t dice = race_seed((unsigned)(uintptr_t)arg);
    for (;;) {
        pthread_barrier_wait(&begin);
        if (atomic_load(&over)) {
            return NULL;
        }
        for (uint64_t bytes, sum = 0; sum < ROOM / 2; sum += bytes) { /* twice the room, of all together */
            bytes = 1 + race_random(&dice) % 100;
            atomic_fetch_add(&added, bytes);
            car_filling_add(&filling, bytes);
        }
        pthread_barrier_wait(&end);
    }
}

static void one_asks(void) {
    pthread_t threads[THREADS];
    filling = (struct car_filling){.ask = ask};
    pthread_barrier_init(&begin, NULL, THREADS + 1);
    pthread_barrier_init(&end, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, fill, (void *)(uintptr_t)i);
    }
    uint64_t started = race_now_ms();
    unsigned rounds = race_rounds(20000);
    unsigned done = 0;
    while (done < rounds && !race_time_up(started, TEST_MS, done)) {
        atomic_store(&added, 0);
        car_filling_set(&filling, ROOM);
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&end);
        done++;
        CU_ASSERT_EQUAL(atomic_load(&asked), done);
    }
    atomic_store(&over, true);
    pthread_barrier_wait(&begin);
    race_join(threads, THREADS);
    pthread_barrier_destroy(&begin);
    pthread_barrier_destroy(&end);
    CU_ASSERT_TRUE(done > 0);
}

static const struct car_test TESTS[] = {{"one asks", one_asks}};

int main(void) {
    race_watch();
    return car_suite_main("race_filling", TESTS, sizeof TESTS / sizeof *TESTS);
}
