#include "carillon/runtime/task.h"

#include "carillon/base/clock.h"
#include "carillon/runtime/turn.h"

#include "link.h"

/* After this long the rest waits for the loop to look for input: a look costs several microseconds, which who is alone
 * need not pay often. */
#define ALONE_US    1000u
#define SHARED_US   100u
#define CLOCK_EVERY 32u /* tasks, and whenever a flow has used up its quantum */

/* So long after another flow was served than before, they are taken to share the loop. */
#define SHARED_FOR_US 100000u

#define TASK_COST 256 /* of its queueing and its memory */

/* One run of tasks. */
struct slice {
    uint64_t start, end;
    unsigned since_clock; /* tasks */
};

static bool look_at_clock(struct slice *slice) {
    slice->since_clock = 0;
    return car_clock_mono_us() > slice->end;
}

static bool is_over(struct slice *slice) {
    return ++slice->since_clock >= CLOCK_EVERY && look_at_clock(slice);
}

/* Another tenant is served than the last: from now on slices are short. */
static void share(struct car_tasks *tasks, const struct car_flow *flow, struct slice *slice) {
    tasks->served = flow;
    tasks->shared_until = slice->start + SHARED_FOR_US;
    slice->end = slice->start + SHARED_US;
}

static void on_idle(uv_idle_t *handle) {
    (void)handle;
}

/* Gives the flow its turn. true where the slice is over; where that came in the middle of its turn, it stays the first,
 * and goes on with the rest of its quantum. */
static bool serve(struct car_tasks *tasks, struct car_flow *flow, struct slice *slice) {
    bool over = false;
    if (!flow->served) {
        flow->deficit += CAR_FLOW_QUANTUM;
    }
    flow->served = true;
    if (flow != tasks->served && flow != &tasks->common) {
        share(tasks, flow, slice);
    }
    while (!over && flow->deficit > 0 && !car_link_is_alone(&flow->tasks)) {
        struct car_task *task = (struct car_task *)flow->tasks.next; /* its first member */
        car_link_remove(&task->link);
        flow->deficit -= TASK_COST;
        task->run(task);
        over = is_over(slice);
    }
    bool idle = car_link_is_alone(&flow->tasks);
    if (over && !idle && flow->deficit > 0) {
        return true;
    }
    over = over || (slice->since_clock > 0 && flow->deficit <= 0 && look_at_clock(slice));
    flow->served = false;
    car_link_remove(&flow->link);
    if (!idle || flow->deficit < 0) {
        car_link_put(tasks->ready.prev, &flow->link);
    } else {
        flow->deficit = 0;
    }
    return over;
}

static void run_slice(struct car_tasks *tasks) {
    tasks->over = false;
    if (!car_link_is_alone(&tasks->ready)) {
        struct slice slice = {.start = car_turn_mark()};
        slice.end = slice.start + (slice.start < tasks->shared_until ? SHARED_US : ALONE_US);
        while (!tasks->over && !car_link_is_alone(&tasks->ready)) {
            tasks->over = serve(tasks, (struct car_flow *)tasks->ready.next, &slice); /* its first member */
        }
    }
    bool more = !car_tasks_are_done(tasks);
    tasks->over = tasks->over && more;
    if (more != tasks->idle_active) {
        tasks->idle_active = more;
        if (more) {
            uv_idle_start(&tasks->idle, on_idle);
        } else {
            uv_idle_stop(&tasks->idle);
        }
    }
}

static void on_prepare(uv_prepare_t *handle) {
    struct car_tasks *tasks = handle->data;
    if (!tasks->over) { /* else its slice is used up, and the loop looks for input first */
        run_slice(tasks);
    }
    tasks->turn(tasks->owner);
}

static void on_check(uv_check_t *handle) {
    struct car_tasks *tasks = handle->data;
    while (!car_link_is_alone(&tasks->later)) { /* the loop has looked for input */
        struct car_task *task = (struct car_task *)tasks->later.next;
        car_link_remove(&task->link);
        car_task_defer(tasks, task);
    }
    run_slice(tasks);
}

void car_tasks_open(struct car_tasks *tasks, uv_loop_t *loop, void (*turn)(void *owner), void *owner) {
    tasks->turn = turn;
    tasks->owner = owner;
    car_flow_init(&tasks->common);
    car_link_init(&tasks->ready);
    car_link_init(&tasks->later);
    tasks->idle_active = tasks->over = false;
    tasks->served = NULL;
    tasks->shared_until = 0;
    tasks->prepare.data = tasks->check.data = tasks->idle.data = tasks;
    /* These three cannot fail: they only link the handle into the loop. */
    uv_prepare_init(loop, &tasks->prepare);
    uv_check_init(loop, &tasks->check);
    uv_idle_init(loop, &tasks->idle);
    uv_prepare_start(&tasks->prepare, on_prepare);
    uv_check_start(&tasks->check, on_check);
}

void car_tasks_close(struct car_tasks *tasks) {
    uv_close((uv_handle_t *)&tasks->prepare, NULL);
    uv_close((uv_handle_t *)&tasks->check, NULL);
    uv_close((uv_handle_t *)&tasks->idle, NULL);
}

bool car_tasks_are_done(const struct car_tasks *tasks) {
    return car_link_is_alone(&tasks->ready) && car_link_is_alone(&tasks->later);
}

bool car_tasks_others_wait(const struct car_tasks *tasks, const struct car_flow *flow) {
    const struct car_link *first = tasks->ready.next;
    return first != &tasks->ready && (first != &flow->link || first->next != &tasks->ready);
}

void car_task_defer(struct car_tasks *tasks, struct car_task *task) {
    car_flow_defer(tasks, &tasks->common, task);
}

void car_task_defer_first(struct car_tasks *tasks, struct car_task *task) {
    if (task->link.next) {
        return;
    }
    struct car_flow *common = &tasks->common;
    car_link_put(&common->tasks, &task->link);
    if (common->link.next) {
        car_link_remove(&common->link);
    }
    car_link_put(&tasks->ready, &common->link);
}

void car_task_yield(struct car_tasks *tasks, struct car_task *task) {
    if (!task->link.next) {
        car_link_put(tasks->later.prev, &task->link);
    }
}

void car_task_cancel(struct car_tasks *tasks, struct car_task *task) {
    (void)tasks;
    if (task->link.next) {
        car_link_remove(&task->link);
    }
}
