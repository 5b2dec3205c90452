#include "carillon/runtime/pulse.h"

#include <stdatomic.h>

#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "race.h"
#include "suite.h"

#define WORKERS 3u
#define TEST_MS 4000u
#define BEATS   3000u

/* Work that a worker is given over and over; while it does it, `doing` is its number, odd ones only. */
struct work {
    struct car_note note; /* first */
    struct car_worker *worker;
    atomic_uint doing; /* 0 between two */
    atomic_bool stop;
    atomic_bool over;
    unsigned number;
    uint64_t random;
};

struct scene {
    struct work works[WORKERS];
    struct car_worker *workers[WORKERS];
    unsigned seen[WORKERS]; /* what each was doing at the last beat */
    unsigned beats;
    unsigned long faults;
};

static void on_work(struct car_note *note, void *owner) {
    struct work *work = (struct work *)note;
    (void)owner;
    work->number += 2;
    atomic_store(&work->doing, work->number | 1);
    race_stall(&work->random);
    if (race_random(&work->random) % 512 == 0) {
        usleep(3000);
    }
    atomic_store(&work->doing, 0);
    if (atomic_load(&work->stop)) {
        atomic_store(&work->over, true);
        car_worker_stop(work->worker);
    } else {
        car_mailbox_post(&work->worker->mailbox, note);
    }
}

/* Who is still doing what it did at the last beat has not turned in between: then there must be no beat. */
static void on_beat(void *user) {
    struct scene *scene = user;
    scene->beats++;
    for (unsigned i = 0; i < WORKERS; i++) {
        unsigned doing = atomic_load(&scene->works[i].doing);
        scene->faults += doing != 0 && doing == scene->seen[i];
        scene->seen[i] = doing;
    }
}

static void on_silent(void *user, unsigned worker_id) {
    (void)user;
    (void)worker_id;
}

static const struct car_pulse_ops OPS = {.beat = on_beat, .silent = on_silent};

static void on_timer(uv_timer_t *timer) {
    (void)timer; /* it keeps the loop alive: a pulse does not */
}

static void test_no_beat_for_who_does_not_turn(void) {
    static struct scene scene;
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_pulse *pulse = NULL;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 1, 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct work *work = &scene.works[i];
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&scene.workers[i], i, reclaim), 0);
        *work = (struct work){.note.run = on_work, .worker = scene.workers[i], .random = race_seed(i)};
        CU_ASSERT_EQUAL_FATAL(car_worker_start(scene.workers[i]), 0);
        car_mailbox_post(&scene.workers[i]->mailbox, &work->note);
    }
    CU_ASSERT_EQUAL_FATAL(car_pulse_open(&pulse, &loop, scene.workers, WORKERS, 1, &OPS, &scene), 0);
    uint64_t started = race_now_ms();
    while (scene.beats < race_rounds(BEATS) && race_now_ms() - started < TEST_MS) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        atomic_store(&scene.works[i].stop, true);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        car_worker_join(scene.workers[i]);
        CU_ASSERT(atomic_load(&scene.works[i].over));
    }
    car_pulse_close(&pulse);
    uv_close((uv_handle_t *)&timer, NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        car_worker_close(&scene.workers[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
    car_reclaim_free(&reclaim);
    CU_ASSERT(scene.beats > 10);
    CU_ASSERT_EQUAL(scene.faults, 0);
}

static const struct car_test TESTS[] = {
    {"no beat for who does not turn", test_no_beat_for_who_does_not_turn},
};

int main(void) {
    race_watch();
    return car_suite_main("pulse", TESTS, sizeof TESTS / sizeof *TESTS);
}
