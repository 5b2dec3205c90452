#include "carillon/runtime/timer.h"

#include <stddef.h>
#include <unistd.h>

#include "runtime/wheel.h"
#include "suite.h"

#define TICK CAR_TIMER_TICK_MS

static uv_loop_t loop;
static struct car_wheel *wheel;
static unsigned fired_count;
static struct probe *fired_order[64];

/* A timer that notes when it fired, and then does something to others. Whether it was late is told by the loop's own
 * timers, which are late themselves where the machine is busy: the witness is set for two ticks later, and comes
 * second. */
struct probe {
    struct car_timer timer; /* first */
    uv_timer_t witness;
    bool late;
    unsigned fired;
    uint64_t set_ns, fired_ns;
    struct probe *clears[3];
    struct probe *sets;
    uint64_t sets_delay_ms;
    unsigned sets_times;
    unsigned blocks_ms;
    bool closes_wheel;
};

static void set(struct probe *probe, uint64_t delay_ms);

static void on_probe(struct car_timer *timer) {
    struct probe *p = (struct probe *)(void *)timer;
    CU_ASSERT_FALSE(car_timer_is_set(timer));
    p->fired++;
    p->fired_ns = uv_hrtime();
    if (fired_count < 64) {
        fired_order[fired_count] = p;
    }
    fired_count++;
    for (unsigned i = 0; i < 3 && p->clears[i]; i++) {
        car_timer_clear(wheel, &p->clears[i]->timer);
    }
    if (p->blocks_ms) {
        usleep(p->blocks_ms * 1000);
    }
    if (p->sets && p->sets_times > 0) {
        p->sets_times--;
        set(p->sets, p->sets_delay_ms);
    }
    if (p->closes_wheel) {
        car_wheel_close(&wheel);
    }
}

static void on_witness(uv_timer_t *witness) {
    struct probe *p = witness->data;
    p->late = p->late || car_timer_is_set(&p->timer);
}

static void set_witness(struct probe *p, uint64_t delay_ms) {
    uint64_t now_ms = uv_now(&loop); /* which may stand still */
    uint64_t at_ms = p->set_ns / 1000000 + 1 + delay_ms + 2 * TICK;
    if (!p->witness.data) {
        uv_timer_init(&loop, &p->witness);
        uv_unref((uv_handle_t *)&p->witness);
        p->witness.data = p;
    }
    uv_timer_start(&p->witness, on_witness, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void set(struct probe *probe, uint64_t delay_ms) {
    probe->timer.fire = on_probe;
    probe->set_ns = uv_hrtime();
    car_timer_set(wheel, &probe->timer, delay_ms);
    CU_ASSERT_TRUE(car_timer_is_set(&probe->timer));
    if (delay_ms < UINT32_MAX) {
        set_witness(probe, delay_ms);
    }
}

static void open_wheel(unsigned slots) {
    uv_loop_init(&loop);
    fired_count = 0;
    wheel = slots ? car_wheel_new_sized(&loop, slots) : car_wheel_new(&loop);
    CU_ASSERT_PTR_NOT_NULL_FATAL(wheel);
}

static void close_witness(uv_handle_t *handle, void *data) {
    (void)data;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_wheel(void) {
    if (wheel) {
        car_wheel_close(&wheel);
    }
    uv_walk(&loop, close_witness, NULL);
    CU_ASSERT_PTR_NULL(wheel);
    CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

/* Never early, and by two ticks late at most. */
static void check_time(const struct probe *p, uint64_t delay_ms) {
    CU_ASSERT_EQUAL(p->fired, 1);
    CU_ASSERT(p->fired_ns - p->set_ns >= delay_ms * 1000000);
    CU_ASSERT_FALSE(p->late);
}

static void delays(void) {
    static const uint64_t ms[] = {0, 1, 49, 50, 51, 99, 130, 250, 333, 600};
    struct probe probes[sizeof ms / sizeof *ms] = {0};
    open_wheel(0);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        set(&probes[i], ms[i]);
    }
    CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_DEFAULT), 0); /* the loop ends: no timer, no handle that holds it */
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        check_time(&probes[i], ms[i]);
    }
    CU_ASSERT_EQUAL(fired_count, sizeof ms / sizeof *ms);
    close_wheel();
}

/* A wheel of 4 slots: 200 ms a round. */
static void rounds(void) {
    static const uint64_t ms[] = {1100, 900, 700, 500, 300, 100, 101, 301, 901, 1101};
    struct probe probes[sizeof ms / sizeof *ms] = {0};
    open_wheel(4);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        set(&probes[i], ms[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        check_time(&probes[i], ms[i]);
    }
    close_wheel();
}

/* The loop wakes up for what is due, not for each tick. */
static unsigned turns;

static void on_turn(uv_prepare_t *handle) {
    (void)handle;
    turns++;
}

static void sleeps_between(void) {
    struct probe near = {0}, far = {0};
    uv_prepare_t prepare;
    open_wheel(0);
    uv_prepare_init(&loop, &prepare);
    uv_prepare_start(&prepare, on_turn);
    uv_unref((uv_handle_t *)&prepare);
    turns = 0;
    set(&far, 1000);
    set(&near, 60);
    uv_run(&loop, UV_RUN_DEFAULT);
    check_time(&near, 60);
    check_time(&far, 1000);
    CU_ASSERT(turns <= 8); /* 20 ticks */
    uv_close((uv_handle_t *)&prepare, NULL);
    close_wheel();
}

static void move_and_clear(void) {
    struct probe later = {0}, sooner = {0}, cleared = {0}, never = {0};
    open_wheel(8);
    CU_ASSERT_FALSE(car_timer_is_set(&never.timer));
    car_timer_clear(wheel, &never.timer);
    set(&later, 50);
    set(&later, 400);
    set(&sooner, 900);
    set(&sooner, 100);
    set(&cleared, 50);
    car_timer_clear(wheel, &cleared.timer);
    CU_ASSERT_FALSE(car_timer_is_set(&cleared.timer));
    uv_run(&loop, UV_RUN_DEFAULT);
    check_time(&later, 400);
    check_time(&sooner, 100);
    CU_ASSERT_EQUAL(cleared.fired, 0);
    CU_ASSERT_EQUAL(fired_count, 2);
    set(&cleared, 200);
    car_timer_clear(wheel, &cleared.timer);
    CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_NOWAIT), 0); /* nothing is set, nothing holds the loop */
    close_wheel();
}

/* Three timers of one slot: the first to fire clears one and moves the other. */
static void clears_neighbours(void) {
    struct probe first = {0}, second = {0}, third = {0}, fourth = {0};
    open_wheel(8);
    first.clears[0] = &second;
    first.clears[1] = &first; /* not set any more: nothing happens */
    first.sets = &third;
    first.sets_times = 1;
    first.sets_delay_ms = 8 * TICK; /* the same slot, a round later */
    do {                            /* again where a tick ended between the first and the last */
        set(&first, 100);
        set(&second, 100);
        set(&third, 100);
        set(&fourth, 100);
    } while (first.timer.due != fourth.timer.due);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(second.fired, 0);
    check_time(&first, 100);
    check_time(&fourth, 100);
    check_time(&third, 8 * TICK);
    CU_ASSERT_PTR_EQUAL(fired_order[0], &first);
    CU_ASSERT_PTR_EQUAL(fired_order[1], &fourth);
    CU_ASSERT_PTR_EQUAL(fired_order[2], &third);
    close_wheel();
}

static void sets_itself(void) {
    struct probe again = {0};
    open_wheel(4);
    again.sets = &again;
    again.sets_times = 5;
    set(&again, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(again.fired, 6);
    CU_ASSERT_FALSE(again.late);
    close_wheel();
}

/* A callback that holds the loop up for more than a round of the wheel. */
static void blocked_loop(void) {
    struct probe blocker = {0}, during[6] = {0}, after = {0}, from_blocker = {0};
    open_wheel(16);
    blocker.blocks_ms = 1000; /* a round is 800 ms */
    blocker.sets = &from_blocker;
    blocker.sets_times = 1;
    blocker.sets_delay_ms = 100;
    set(&blocker, 0);
    for (unsigned i = 0; i < 6; i++) {
        set(&during[i], 100 + 130 * i);
    }
    set(&after, 1500);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(during[i].fired, 1);
        CU_ASSERT(during[i].fired_ns >= blocker.fired_ns + 1000 * UINT64_C(1000000));
        CU_ASSERT_FALSE(during[i].late);
    }
    check_time(&after, 1500);
    check_time(&from_blocker, 100); /* from when it was set, not from where the loop's clock stood still */
    close_wheel();
}

/* The wheel is idle for longer than a round, and the loop is not run in the meantime. */
static void idle_gap(void) {
    struct probe early = {0}, late = {0};
    open_wheel(4);
    set(&early, 10);
    uv_run(&loop, UV_RUN_DEFAULT);
    usleep(450000);
    set(&late, 120);
    uv_run(&loop, UV_RUN_DEFAULT);
    check_time(&early, 10);
    check_time(&late, 120);
    close_wheel();
}

static void endless_delay(void) {
    struct probe never = {0}, soon = {0};
    open_wheel(4);
    set(&never, UINT64_MAX);
    soon.clears[0] = &never;
    set(&soon, 300);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(never.fired, 0);
    check_time(&soon, 300);
    close_wheel();
}

static void close_with_timers(void) {
    struct probe closer = {0}, same_slot = {0}, far = {0};
    open_wheel(8);
    closer.closes_wheel = true;
    set(&closer, 50);
    set(&same_slot, 50);
    set(&far, 300);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(closer.fired, 1);
    CU_ASSERT_EQUAL(fired_count, 1);
    CU_ASSERT_FALSE(car_timer_is_set(&same_slot.timer));
    car_timer_clear(wheel, &far.timer); /* harmless: it is not set any more */
    close_wheel();
}

/* Many timers: each once, none early, in the order of their ticks. */
static void many(void) {
    enum { COUNT = 5000 };
    static struct probe probes[COUNT];
    open_wheel(16);
    uint64_t random = 7;
    for (unsigned i = 0; i < COUNT; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        probes[i] = (struct probe){0};
        set(&probes[i], (random >> 33) % 1500);
        if (i % 3 == 0) {
            set(&probes[i], (random >> 33) % 700);
        } else if (i % 7 == 0) {
            car_timer_clear(wheel, &probes[i].timer);
        }
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    random = 7;
    unsigned wrong = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t delay = (random >> 33) % (i % 3 == 0 ? 700 : 1500);
        unsigned times = i % 3 != 0 && i % 7 == 0 ? 0 : 1;
        wrong += probes[i].fired != times || probes[i].late;
        wrong += times && probes[i].fired_ns - probes[i].set_ns < delay * 1000000;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    close_wheel();
}

static const struct car_test TESTS[] = {
    {"fires once, not early, two ticks late at most", delays},
    {"delays of several rounds", rounds},
    {"the loop sleeps through empty ticks", sleeps_between},
    {"moving and clearing", move_and_clear},
    {"fire clears and moves others of its slot", clears_neighbours},
    {"fire sets itself", sets_itself},
    {"a loop that was blocked for more than a round", blocked_loop},
    {"a wheel that was idle for more than a round", idle_gap},
    {"a delay without end", endless_delay},
    {"closing with timers set, from fire", close_with_timers},
    {"many timers", many},
};

int main(void) {
    return car_suite_main("timer", TESTS, sizeof TESTS / sizeof *TESTS);
}
