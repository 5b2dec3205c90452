#include "carillon/runtime/flow.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/runtime/task.h"

#include "suite.h"

/* Flows on a loop that is turned by hand. Each has one task, which comes back as often as it is told to and costs what
 * it is told; what was served is counted until somebody is done. */

#define FLOWS 5

static uv_loop_t loop;
static struct car_tasks tasks;

struct load {
    struct car_task task; /* first */
    struct car_flow flow;
    struct load *payer; /* whose flow it is in */
    uint64_t cost;      /* of each run */
    unsigned again;     /* runs that are left */
    uint64_t served;    /* cost, in all */
    unsigned runs;
    unsigned spin_us; /* that a run takes at least */
};

static struct load loads[FLOWS];
static unsigned watched;                 /* the load whose end is waited for */
static uint64_t when_done[FLOWS];        /* what each had been served by then */
static unsigned in_a_row, most_in_a_row; /* runs since the loop has looked for input */

static void on_turn(void *owner) {
    (void)owner;
}

static void on_load(struct car_task *task) {
    struct load *load = (struct load *)task;
    uint64_t until = car_clock_mono_us() + load->spin_us;
    while (load->spin_us && car_clock_mono_us() <= until) {
    }
    in_a_row++;
    most_in_a_row = in_a_row > most_in_a_row ? in_a_row : most_in_a_row;
    load->payer->served += load->cost;
    load->runs++;
    car_flow_charge(&tasks, &load->payer->flow, load->cost);
    if (--load->again > 0) {
        car_flow_defer(&tasks, &load->payer->flow, task);
    } else if (load == &loads[watched]) {
        for (unsigned i = 0; i < FLOWS; i++) {
            when_done[i] = loads[i].served;
        }
    }
}

static void begin(void) {
    CU_ASSERT_EQUAL_FATAL(uv_loop_init(&loop), 0);
    car_tasks_open(&tasks, &loop, on_turn, &tasks);
    memset(loads, 0, sizeof loads);
    memset(when_done, 0, sizeof when_done);
    for (unsigned i = 0; i < FLOWS; i++) {
        loads[i].task.run = on_load;
        loads[i].payer = &loads[i];
        car_flow_init(&loads[i].flow);
    }
    watched = 0;
    in_a_row = most_in_a_row = 0;
}

static void end(void) {
    car_tasks_close(&tasks);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static void start(unsigned i, uint64_t cost, unsigned runs) {
    loads[i].cost = cost;
    loads[i].again = runs;
    car_flow_defer(&tasks, &loads[i].flow, &loads[i].task);
}

static void run_all(void) {
    for (unsigned i = 0; i < 1000000 && !car_tasks_are_done(&tasks); i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    CU_ASSERT_TRUE(car_tasks_are_done(&tasks));
}

static uint64_t apart(uint64_t a, uint64_t b) {
    return a > b ? a - b : b - a;
}

/* However large or small their tasks are, flows that always have some are served alike, to within a quantum and what
 * one task costs beyond it. */
static void test_shares(void) {
    static const uint64_t costs[FLOWS] = {100, 7000, 64000, 300000, 1};
    begin();
    start(0, costs[0], 20000);
    for (unsigned i = 1; i < FLOWS; i++) {
        start(i, costs[i], 10000000 / (unsigned)(costs[i] + 256) + 20);
    }
    run_all();
    /* The queue's own cost of each task is part of its share. */
    uint64_t mine = when_done[0] + (uint64_t)loads[0].runs * 256;
    for (unsigned i = 1; i < FLOWS; i++) {
        uint64_t runs = when_done[i] / costs[i];
        CU_ASSERT_TRUE(apart(when_done[i] + runs * 256, mine) <= 2 * CAR_FLOW_QUANTUM + costs[i]);
    }
    end();
}

/* Who has a thousand tasks gets no more of them done than who has one at a time. */
static void test_number_of_tasks_is_no_weight(void) {
    enum { MANY = 1000 };
    struct load *many = calloc(MANY, sizeof *many);
    begin();
    start(0, 4096, 500);
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = (struct load){.task.run = on_load, .cost = 4096, .again = 5, .payer = &loads[1]};
        car_flow_defer(&tasks, &loads[1].flow, &many[i].task);
    }
    run_all();
    CU_ASSERT_EQUAL(loads[1].served, 5ul * MANY * 4096);
    CU_ASSERT_TRUE(apart(when_done[1], when_done[0]) <= 2 * CAR_FLOW_QUANTUM);
    free(many);
    end();
}

/* A flow that has nothing to do saves nothing up: when it comes back it has one quantum, as the others. */
static void test_idle_carries_nothing(void) {
    begin();
    for (unsigned round = 0; round < 50; round++) {
        start(1, 1, 1);
        run_all();
        CU_ASSERT_EQUAL(loads[1].flow.deficit, 0);
        CU_ASSERT_PTR_NULL(loads[1].flow.link.next);
    }
    start(0, 1024, 400);
    start(1, 1024, 400);
    run_all();
    CU_ASSERT_TRUE(apart(when_done[0], when_done[1]) <= 2 * CAR_FLOW_QUANTUM);
    end();
}

/* What one has cost beyond its quantum is made good before it is served again, as long as others have work. */
static void test_debt(void) {
    begin();
    car_flow_charge(&tasks, &loads[1].flow, 10 * CAR_FLOW_QUANTUM);
    CU_ASSERT_TRUE(car_flow_is_spent(&loads[1].flow));
    start(0, 4096, 1000);
    start(1, 4096, 1000);
    run_all();
    CU_ASSERT_TRUE(when_done[1] + 10 * CAR_FLOW_QUANTUM <= when_done[0] + 2 * CAR_FLOW_QUANTUM);
    CU_ASSERT_TRUE(when_done[0] <= when_done[1] + 12 * CAR_FLOW_QUANTUM);
    CU_ASSERT_FALSE(car_flow_is_spent(&loads[1].flow));
    CU_ASSERT_EQUAL(loads[1].flow.deficit, 0);
    end();
}

/* A debt alone neither keeps the loop busy nor is forgotten too late. */
static void test_debt_of_nobody_busy(void) {
    begin();
    car_flow_charge(&tasks, &loads[0].flow, 1000 * CAR_FLOW_QUANTUM);
    CU_ASSERT_FALSE(car_tasks_are_done(&tasks));
    uv_run(&loop, UV_RUN_NOWAIT);
    CU_ASSERT_TRUE(car_tasks_are_done(&tasks));
    CU_ASSERT_EQUAL(loads[0].flow.deficit, 0);
    end();
}

static void test_others_wait(void) {
    begin();
    CU_ASSERT_FALSE(car_tasks_others_wait(&tasks, &loads[0].flow));
    start(0, 1, 1);
    CU_ASSERT_FALSE(car_tasks_others_wait(&tasks, &loads[0].flow));
    CU_ASSERT_TRUE(car_tasks_others_wait(&tasks, &loads[1].flow));
    start(1, 1, 1);
    CU_ASSERT_TRUE(car_tasks_others_wait(&tasks, &loads[0].flow));
    run_all();
    end();
}

/* A task that waits in a ring of somebody's is run when it is deferred again. */
static void test_wait(void) {
    struct car_link ring = {&ring, &ring};
    begin();
    loads[0].again = 1;
    car_flow_wait(&ring, &loads[0].task);
    CU_ASSERT_TRUE(car_task_is_queued(&loads[0].task));
    car_flow_defer(&tasks, &loads[0].flow, &loads[0].task); /* it is queued: nothing */
    run_all();
    CU_ASSERT_EQUAL(loads[0].runs, 0);
    car_task_cancel(&tasks, &loads[0].task);
    CU_ASSERT_PTR_EQUAL(ring.next, &ring);
    car_flow_defer(&tasks, &loads[0].flow, &loads[0].task);
    run_all();
    CU_ASSERT_EQUAL(loads[0].runs, 1);
    end();
}

static void on_input(uv_poll_t *handle, int status, int events) {
    (void)handle;
    (void)status;
    (void)events;
    in_a_row = 0;
}

/* Runs all there is while there is always input. */
static void run_beside_input(void) {
    int ends[2];
    uv_poll_t poll;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    uv_poll_init(&loop, &poll, ends[0]);
    uv_poll_start(&poll, UV_READABLE, on_input);
    run_all();
    uv_close((uv_handle_t *)&poll, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    close(ends[0]);
    close(ends[1]);
}

/* The loop looks for input as soon as a slice is over, and not only when many tasks have run: few of them may take
 * long. */
static void test_few_that_take_long(void) {
    begin();
    loads[0].spin_us = 1100; /* more than any slice */
    start(0, CAR_FLOW_QUANTUM, 20);
    run_beside_input();
    CU_ASSERT_EQUAL(loads[0].runs, 20);
    CU_ASSERT_EQUAL(most_in_a_row, 1);
    end();
}

/* Where several flows are served, that is often: who is about to ask waits for a quantum or two of the others. */
static void test_shared_slices(void) {
    begin();
    loads[0].spin_us = loads[1].spin_us = 110;
    start(0, CAR_FLOW_QUANTUM, 40);
    start(1, CAR_FLOW_QUANTUM, 40);
    run_beside_input();
    CU_ASSERT_EQUAL(loads[0].runs + loads[1].runs, 80);
    CU_ASSERT_TRUE(most_in_a_row <= 2);
    end();
}

static void on_first_input(uv_poll_t *handle, int status, int events) {
    on_input(handle, status, events);
    if (loads[0].runs == 0) {
        start(0, 1, 32); /* as many as are run before the clock is looked at */
    }
}

/* A slice that was used up and left nothing: what a timer puts off next is done before the loop sleeps. */
static void test_nothing_left(void) {
    int ends[2];
    uv_poll_t poll;
    begin();
    loads[0].spin_us = 50;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    uv_poll_init(&loop, &poll, ends[0]);
    uv_poll_start(&poll, UV_READABLE, on_first_input);
    uv_run(&loop, UV_RUN_NOWAIT);
    CU_ASSERT_EQUAL(most_in_a_row, 32);
    start(1, 1, 1);
    uv_run(&loop, UV_RUN_NOWAIT);
    CU_ASSERT_EQUAL(loads[1].runs, 1);
    CU_ASSERT_EQUAL(most_in_a_row, 33); /* no input was looked for before it */
    uv_close((uv_handle_t *)&poll, NULL);
    end();
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    static const struct car_test tests[] = {
        {"flows with unequal tasks have equal shares", test_shares},
        {"the number of tasks is no weight", test_number_of_tasks_is_no_weight},
        {"an idle flow carries nothing", test_idle_carries_nothing},
        {"a debt is made good", test_debt},
        {"a debt of nobody who is busy", test_debt_of_nobody_busy},
        {"whether others wait", test_others_wait},
        {"a task that waits", test_wait},
        {"few tasks that take long", test_few_that_take_long},
        {"slices that flows share", test_shared_slices},
        {"a slice that leaves nothing", test_nothing_left},
    };
    return car_suite_main("flow", tests, sizeof tests / sizeof *tests);
}
