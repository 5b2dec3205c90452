#include "carillon/runtime/control.h"

#include <pthread.h>
#include <stdint.h>

#include "suite.h"

#define ROUNDS 5u

struct seen {
    struct car_control *control;
    unsigned rounds, ticks;
};

static void on_end(void *user, const char *signal) {
    (void)user;
    (void)signal;
}

static void on_signal(void *user) {
    (void)user;
}

static void on_tick(void *user) {
    struct seen *seen = user;
    seen->ticks++;
}

static void on_ring(void *user) {
    struct seen *seen = user;
    seen->ticks++;
    car_control_stop(seen->control);
}

static void on_round(void *user) {
    struct seen *seen = user;
    if (++seen->rounds == ROUNDS) {
        car_control_stop(seen->control);
    }
}

static const struct car_control_ops OPS = {
    .end = on_end, .reload = on_signal, .upgrade = on_signal, .tick = on_tick, .round = on_round};

static const struct car_control_ops RUNG = {
    .end = on_end, .reload = on_signal, .upgrade = on_signal, .tick = on_ring, .round = on_round};

static void *ring(void *control) {
    car_control_ring(control);
    return NULL;
}

static void test_another_threads_ring_is_a_tick_though_none_is_due(void) {
    struct seen seen = {0};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(car_control_open(&seen.control, &RUNG, &seen), 0);
    car_control_tick_in(seen.control, 3600000);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ring, seen.control), 0);
    car_control_run(seen.control);
    CU_ASSERT_EQUAL(seen.ticks, 1);
    car_control_ring(seen.control); /* by one who has not heard that it has stopped */
    pthread_join(thread, NULL);
    car_control_close(&seen.control);
    CU_ASSERT_PTR_NULL(seen.control);
}

static void test_the_bell_alone_keeps_nobody(void) {
    struct seen seen = {0};
    CU_ASSERT_EQUAL_FATAL(car_control_open(&seen.control, &OPS, &seen), 0);
    car_control_stop(seen.control);
    car_control_run(seen.control);
    car_control_close(&seen.control);
}

static void test_rounds_go_on_whatever_ticks_do(void) {
    struct seen seen = {0};
    CU_ASSERT_EQUAL_FATAL(car_control_open(&seen.control, &OPS, &seen), 0);
    car_control_rounds(seen.control, 2);
    car_control_tick(seen.control, 1);
    car_control_tick(seen.control, 0);
    car_control_run(seen.control);
    CU_ASSERT_EQUAL(seen.rounds, ROUNDS);
    CU_ASSERT_EQUAL(seen.ticks, 0);
    car_control_close(&seen.control);
}

static void test_no_round_before_its_time(void) {
    struct seen seen = {0};
    CU_ASSERT_EQUAL_FATAL(car_control_open(&seen.control, &OPS, &seen), 0);
    car_control_rounds(seen.control, UINT64_C(86400000));
    car_control_stop(seen.control);
    car_control_run(seen.control); /* it does not wait for a round */
    CU_ASSERT_EQUAL(seen.rounds, 0);
    car_control_close(&seen.control);
}

static const struct car_test TESTS[] = {
    {"another thread's ring is a tick though none is due", test_another_threads_ring_is_a_tick_though_none_is_due},
    {"the bell alone keeps nobody", test_the_bell_alone_keeps_nobody},
    {"rounds go on whatever ticks do", test_rounds_go_on_whatever_ticks_do},
    {"no round before its time", test_no_round_before_its_time},
};

int main(void) {
    return car_suite_main("control", TESTS, sizeof TESTS / sizeof *TESTS);
}
