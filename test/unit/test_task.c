#include "carillon/runtime/task.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/clock.h"

#include "suite.h"

#define TASKS    8
#define LOG_SIZE 400

static uv_loop_t loop;
static struct car_tasks tasks;

/* What happened, one letter each: a task's own, '.' for the turn's call, others by the tests. */
static char happened[LOG_SIZE];

static void note(char letter) {
    size_t len = strlen(happened);
    if (len + 1 < sizeof happened) {
        happened[len] = letter;
        happened[len + 1] = '\0';
    }
}

/* A task that runs some step of its own. */
struct actor {
    struct car_task task; /* first */
    char letter;
    unsigned again; /* so many times it comes back */
    void (*act)(struct actor *actor);
};

static struct actor actors[TASKS];

static void on_actor(struct car_task *task) {
    struct actor *actor = (struct actor *)task;
    CU_ASSERT_FALSE(car_task_is_queued(task)); /* it may be queued again, or freed */
    note(actor->letter);
    if (actor->act) {
        actor->act(actor);
    }
}

static void on_turn(void *owner) {
    CU_ASSERT_PTR_EQUAL(owner, &tasks);
    note('.');
}

static void begin(void) {
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&loop), 0);
    car_tasks_open(&tasks, &loop, on_turn, &tasks);
    happened[0] = '\0';
    for (unsigned i = 0; i < TASKS; i++) {
        actors[i] = (struct actor){.task.run = on_actor, .letter = (char)('a' + i)};
    }
}

static void end(void) {
    car_tasks_close(&tasks);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static void defer(unsigned i) {
    car_task_defer(&tasks, &actors[i].task);
}

static void yield(unsigned i) {
    car_task_yield(&tasks, &actors[i].task);
}

static void cancel(unsigned i) {
    car_task_cancel(&tasks, &actors[i].task);
}

static void turn(void) {
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* The letters without the turns' dots. */
static const char *letters(void) {
    static char text[LOG_SIZE];
    size_t len = 0;
    for (const char *p = happened; *p; p++) {
        if (*p != '.') {
            text[len++] = *p;
        }
    }
    text[len] = '\0';
    return text;
}

static void test_order(void) {
    begin();
    for (unsigned i = 0; i < TASKS; i++) {
        CU_ASSERT_FALSE(car_task_is_queued(&actors[i].task));
        defer(i);
        CU_ASSERT(car_task_is_queued(&actors[i].task));
    }
    defer(3); /* it is queued: nothing */
    yield(4);
    turn();
    CU_ASSERT_STRING_EQUAL(happened, "abcdefgh.");
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "abcdefgh");
    defer(0);
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "abcdefgha");
    end();
}

/* Every way of taking some out of four, before anything runs. */
static void test_cancel(void) {
    for (unsigned queue = 0; queue < 2; queue++) {
        for (unsigned out = 0; out < 16; out++) {
            for (unsigned back = 0; back < 2; back++) {
                begin();
                for (unsigned i = 0; i < 4; i++) {
                    queue ? yield(i) : defer(i);
                }
                for (unsigned k = 0; k < 4; k++) {
                    unsigned i = back ? 3 - k : k;
                    if (out & 1u << i) {
                        cancel(i);
                        cancel(i); /* twice is once */
                        CU_ASSERT_FALSE(car_task_is_queued(&actors[i].task));
                    }
                }
                queue ? yield(4) : defer(4); /* the tail is right */
                defer(5);
                turn();
                turn();
                char want[8];
                size_t len = 0;
                for (unsigned i = 0; i < 4; i++) {
                    if (!(out & 1u << i)) {
                        want[len++] = (char)('a' + i);
                    }
                }
                want[len++] = 'e';
                want[len] = '\0';
                char rest[LOG_SIZE];
                size_t n = 0;
                for (const char *p = letters(); *p; p++) {
                    if (*p != 'f') {
                        rest[n++] = *p;
                    }
                }
                rest[n] = '\0';
                CU_ASSERT_STRING_EQUAL(rest, want);
                CU_ASSERT_EQUAL(n + 1, strlen(letters()));
                end();
            }
        }
    }
}

static void defer_next(struct actor *actor) {
    defer((unsigned)(actor - actors) + 1);
}

static void test_defer_within(void) {
    begin();
    actors[0].act = actors[1].act = actors[2].act = defer_next;
    defer(0);
    turn();
    CU_ASSERT_STRING_EQUAL(happened, "abcd."); /* all in the same turn */
    end();
}

static void cancel_next(struct actor *actor) {
    cancel((unsigned)(actor - actors) + 1);
}

static void test_cancel_within(void) {
    begin();
    actors[0].act = actors[2].act = cancel_next;
    for (unsigned i = 0; i < 4; i++) {
        defer(i);
    }
    turn();
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "ac"); /* the next one, and the last one */
    defer(1);
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "acb");
    end();
}

/* Takes one out of the other queue than the one that is running. */
static void yield_and_cancel(struct actor *actor) {
    (void)actor;
    yield(5);
    yield(6);
    yield(7);
    cancel(7);
    cancel(5);
}

static void test_cancel_yielded_within(void) {
    begin();
    actors[0].act = yield_and_cancel;
    defer(0);
    defer(1);
    turn();
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "abg");
    end();
}

static void come_back(struct actor *actor) {
    if (actor->again > 0) {
        actor->again--;
        yield((unsigned)(actor - actors));
    }
}

static void test_yield(void) {
    begin();
    actors[0].act = actors[1].act = come_back;
    actors[0].again = actors[1].again = 3;
    defer(0);
    defer(1);
    defer(2);
    for (unsigned i = 0; i < 20; i++) {
        turn();
    }
    CU_ASSERT_STRING_EQUAL(letters(), "abcababab"); /* in turns, fairly */
    end();
}

/* A loop with nothing to read does not sleep on a yielded task. */
static void test_no_sleep(void) {
    begin();
    uv_timer_t timer; /* would end the sleep, much too late */
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, (uv_timer_cb)uv_stop, 20000, 0);
    actors[0].act = come_back;
    actors[0].again = 50;
    defer(0);
    uint64_t start = car_clock_mono_us();
    for (unsigned i = 0; i < 51 && strlen(letters()) < 51; i++) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    CU_ASSERT_EQUAL(strlen(letters()), 51);
    CU_ASSERT(car_clock_mono_us() - start < 10000000);
    turn();
    CU_ASSERT_FALSE(tasks.idle_active); /* and it may sleep again */
    uv_close((uv_handle_t *)&timer, NULL);
    end();
}

static void on_readable(uv_poll_t *handle, int status, int events) {
    (void)handle;
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(events, UV_READABLE);
    note('P');
}

/* What yields runs again only after the loop has looked for input; however often it yields, input is not held up. */
static void test_input_between(void) {
    begin();
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    uv_poll_t poll; /* always readable */
    uv_poll_init(&loop, &poll, ends[0]);
    uv_poll_start(&poll, UV_READABLE, on_readable);
    actors[0].act = come_back;
    actors[0].again = 30;
    defer(0);
    for (unsigned i = 0; i < 40; i++) {
        turn();
    }
    CU_ASSERT_EQUAL(actors[0].again, 0);
    if (strstr(letters(), "aa")) {
        fprintf(stderr, "  %s\n", letters());
    }
    CU_ASSERT_PTR_NULL(strstr(letters(), "aa"));
    uv_close((uv_handle_t *)&poll, NULL);
    end();
    close(ends[0]);
    close(ends[1]);
}

static void take_long(struct actor *actor) {
    uint64_t start = car_clock_mono_us();
    while (car_clock_mono_us() - start < 200) {
    }
    if (actor->again > 0) {
        actor->again--;
        defer((unsigned)(actor - actors));
    }
}

/* Work that brings ever more work is cut into slices, so that the loop reads in between. */
static void test_slices(void) {
    begin();
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    uv_poll_t poll;
    uv_poll_init(&loop, &poll, ends[0]);
    uv_poll_start(&poll, UV_READABLE, on_readable);
    actors[0].act = take_long;
    actors[0].again = 299;
    defer(0);
    for (unsigned i = 0; i < 400 && actors[0].again > 0; i++) {
        turn();
    }
    turn();
    size_t run = 0;
    size_t longest = 0;
    size_t polls = 0;
    for (const char *p = letters(); *p; p++) {
        run = *p == 'a' ? run + 1 : 0;
        longest = run > longest ? run : longest;
        polls += *p == 'P';
    }
    CU_ASSERT_EQUAL(actors[0].again, 0);
    CU_ASSERT_EQUAL(strlen(letters()) - polls, 300);
    CU_ASSERT(longest <= 2 * 64); /* 300 of them would be 60 ms */
    CU_ASSERT(polls >= 3);
    uv_close((uv_handle_t *)&poll, NULL);
    end();
    close(ends[0]);
    close(ends[1]);
}

/* What a timer, or the closing of a handle, puts off is done before the loop sleeps. */
static void on_timer(uv_timer_t *timer) {
    (void)timer;
    note('T');
    defer(0);
}

static void on_closed(uv_handle_t *handle) {
    (void)handle;
    note('C');
    defer(1);
}

static void test_from_timer_and_close(void) {
    begin();
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 0, 0);
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "Ta");
    uv_close((uv_handle_t *)&timer, on_closed);
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "TaC");
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "TaCb");
    end();
}

/* `turn` is called once in each turn, work or not. */
static void test_turn_call(void) {
    begin();
    for (unsigned i = 0; i < 5; i++) {
        turn();
    }
    CU_ASSERT_STRING_EQUAL(happened, ".....");
    end();
}

/* Ahead of what is queued, into an empty queue too, and once. */
static void test_defer_first(void) {
    begin();
    car_task_defer_first(&tasks, &actors[0].task);
    defer(1);
    car_task_defer_first(&tasks, &actors[2].task);
    defer(3);
    car_task_defer_first(&tasks, &actors[3].task); /* queued already */
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "cabd");
    happened[0] = '\0';
    defer(0);
    car_task_defer_first(&tasks, &actors[1].task);
    car_task_defer_first(&tasks, &actors[2].task);
    cancel(2);
    cancel(0);
    defer(3);
    turn();
    CU_ASSERT_STRING_EQUAL(letters(), "bd");
    end();
}

static void test_close_with_tasks(void) {
    begin();
    defer(0);
    yield(1);
    end();
    CU_ASSERT_STRING_EQUAL(letters(), "");
    CU_ASSERT(car_task_is_queued(&actors[0].task));
    cancel(0); /* its owner may still take it out */
    cancel(1);
    CU_ASSERT_FALSE(car_task_is_queued(&actors[1].task));
}

static const struct car_test TESTS[] = {
    {"tasks run in order, once", test_order},
    {"cancel at each place", test_cancel},
    {"defer within a task", test_defer_within},
    {"cancel within a task", test_cancel_within},
    {"cancel what has yielded", test_cancel_yielded_within},
    {"yielding takes turns", test_yield},
    {"the loop does not sleep on work", test_no_sleep},
    {"input comes before what yielded", test_input_between},
    {"long work is cut into slices", test_slices},
    {"work from timers and closings", test_from_timer_and_close},
    {"the turn's call", test_turn_call},
    {"ahead of the others", test_defer_first},
    {"closing with work left", test_close_with_tasks},
};

int main(void) {
    return car_suite_main("task", TESTS, sizeof TESTS / sizeof *TESTS);
}
