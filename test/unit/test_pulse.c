#include "carillon/runtime/pulse.h"

#include <semaphore.h>

#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "suite.h"

#define WORKERS 3u
#define LOOK_MS 2u

/* A loop with a pulse, and workers that can be held. */
struct bed {
    struct car_reclaim *reclaim;
    uv_loop_t loop;
    struct car_worker *workers[WORKERS];
    struct car_note stops[WORKERS];
    struct car_pulse *pulse;
    unsigned beats;
    unsigned silent[WORKERS];
};

/* A worker that runs it turns no more until it is let go. */
struct hold {
    struct car_note note; /* first */
    sem_t held, let_go;
};

static void on_hold(struct car_note *note, void *owner) {
    struct hold *hold = (struct hold *)note;
    (void)owner;
    sem_post(&hold->held);
    while (sem_wait(&hold->let_go) != 0) {
    }
}

static void hold(struct car_worker *worker, struct hold *hold) {
    *hold = (struct hold){.note.run = on_hold};
    sem_init(&hold->held, 0, 0);
    sem_init(&hold->let_go, 0, 0);
    car_mailbox_post(&worker->mailbox, &hold->note);
    while (sem_wait(&hold->held) != 0) {
    }
}

static void let_go(struct hold *hold) {
    sem_post(&hold->let_go);
}

static void on_beat(void *user) {
    ((struct bed *)user)->beats++;
}

static void on_silent(void *user, unsigned worker_id) {
    CU_ASSERT_FATAL(worker_id < WORKERS);
    ((struct bed *)user)->silent[worker_id]++;
}

static const struct car_pulse_ops OPS = {.beat = on_beat, .silent = on_silent};

static void open_bed(struct bed *bed, bool start) {
    *bed = (struct bed){.reclaim = car_reclaim_new()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(bed->reclaim);
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&bed->loop), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&bed->workers[i], i, bed->reclaim), 0);
        CU_ASSERT_FATAL(!start || car_worker_start(bed->workers[i]) == 0);
    }
    CU_ASSERT_EQUAL_FATAL(car_pulse_open(&bed->pulse, &bed->loop, bed->workers, WORKERS, LOOK_MS, &OPS, bed), 0);
}

static void on_stop(struct car_note *note, void *owner) {
    (void)note;
    car_worker_stop(owner);
}

static void close_bed(struct bed *bed) {
    for (unsigned i = 0; i < WORKERS; i++) {
        if (bed->workers[i]->started) {
            bed->stops[i].run = on_stop;
            car_mailbox_post(&bed->workers[i]->mailbox, &bed->stops[i]);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        car_worker_join(bed->workers[i]);
    }
    car_pulse_close(&bed->pulse);
    CU_ASSERT_PTR_NULL(bed->pulse);
    for (unsigned i = 0; i < WORKERS; i++) {
        car_worker_close(&bed->workers[i]);
    }
    uv_run(&bed->loop, UV_RUN_DEFAULT); /* close callbacks */
    CU_ASSERT_EQUAL(uv_loop_close(&bed->loop), 0);
    car_reclaim_free(&bed->reclaim);
}

static void on_other_timer(uv_timer_t *timer) {
    unsigned *fired = timer->data;
    (*fired)++;
}

/* Lets the loop turn until a timer of the same pace as the pulse's has fired so many times. */
static void turn(struct bed *bed, unsigned times) {
    unsigned fired = 0;
    uv_timer_t timer;
    uv_timer_init(&bed->loop, &timer);
    timer.data = &fired;
    uv_timer_start(&timer, on_other_timer, LOOK_MS, LOOK_MS);
    while (fired < times) {
        uv_run(&bed->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bed->loop, UV_RUN_NOWAIT);
}

static void turn_until_beats(struct bed *bed, unsigned beats) {
    while (bed->beats < beats) {
        turn(bed, 1);
    }
}

static void test_beats(void) {
    struct bed bed;
    open_bed(&bed, true);
    turn_until_beats(&bed, 50);
    close_bed(&bed);
}

/* Until the answers are in that were given before a worker was held. */
static void settle(struct bed *bed) {
    turn(bed, 5);
}

/* Whichever it is that hangs, and the others turn: not a single beat, and it is named once. Then it goes on. */
static void test_one_hangs(void) {
    struct bed bed;
    open_bed(&bed, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct hold one;
        turn_until_beats(&bed, bed.beats + 2);
        hold(bed.workers[i], &one);
        settle(&bed);
        unsigned beats = bed.beats;
        unsigned named = bed.silent[i];
        CU_ASSERT(named >= 1);
        turn(&bed, 30);
        CU_ASSERT_EQUAL(bed.beats, beats);
        CU_ASSERT_EQUAL(bed.silent[i], named);
        let_go(&one);
        turn_until_beats(&bed, beats + 2);
    }
    close_bed(&bed);
}

static void test_two_hang(void) {
    struct bed bed;
    struct hold first;
    struct hold second;
    open_bed(&bed, true);
    hold(bed.workers[0], &first);
    hold(bed.workers[2], &second);
    settle(&bed);
    CU_ASSERT(bed.silent[0] && bed.silent[2]);
    unsigned beats = bed.beats;
    let_go(&first);
    turn(&bed, 20);
    CU_ASSERT_EQUAL(bed.beats, beats);
    let_go(&second);
    turn_until_beats(&bed, beats + 2);
    close_bed(&bed);
}

/* Those that do not run are asked, and do not answer, so not even the first look is a beat; closing is in order with
 * the question on its way. */
static void test_never_started(void) {
    struct bed bed;
    open_bed(&bed, false);
    turn(&bed, 10);
    CU_ASSERT_EQUAL(bed.beats, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL(bed.silent[i], 1);
    }
    close_bed(&bed);
}

static void test_keeps_no_loop_alive(void) {
    struct bed bed;
    open_bed(&bed, true);
    CU_ASSERT_EQUAL(uv_run(&bed.loop, UV_RUN_DEFAULT), 0);
    close_bed(&bed);
    car_pulse_close(&bed.pulse); /* NULL is allowed */
}

static const struct car_test TESTS[] = {
    {"it beats while all turn", test_beats},
    {"one hangs", test_one_hangs},
    {"two hang", test_two_hang},
    {"workers that never ran", test_never_started},
    {"it keeps no loop alive", test_keeps_no_loop_alive},
};

int main(void) {
    return car_suite_main("pulse", TESTS, sizeof TESTS / sizeof *TESTS);
}
