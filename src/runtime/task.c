#include "carillon/runtime/task.h"

#include "carillon/base/clock.h"

/* After this long the rest waits for the loop to look for input: some 500 writes to sockets. */
#define SLICE_US    2000u
#define CLOCK_EVERY 32u

static void queue_init(struct car_task_queue *q) {
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_push(struct car_task_queue *q, struct car_task *task) {
    task->next = NULL;
    task->pprev = q->tail;
    *q->tail = task;
    q->tail = &task->next;
}

/* Which of the two queues holds the task is told by their tails alone: only the last element's removal moves a tail. */
static void queue_remove(struct car_tasks *tasks, struct car_task *task) {
    if (task->next) {
        task->next->pprev = task->pprev;
    } else if (tasks->now.tail == &task->next) {
        tasks->now.tail = task->pprev;
    } else {
        tasks->later.tail = task->pprev;
    }
    *task->pprev = task->next;
    task->next = NULL;
    task->pprev = NULL;
}

static void queue_append(struct car_task_queue *to, struct car_task_queue *from) {
    if (!from->head) {
        return;
    }
    *to->tail = from->head;
    from->head->pprev = to->tail;
    to->tail = from->tail;
    queue_init(from);
}

static void on_idle(uv_idle_t *handle) {
    (void)handle;
}

static void run_slice(struct car_tasks *tasks) {
    if (tasks->now.head) {
        uint64_t start = car_clock_mono_us();
        unsigned since_clock = 0;
        while (tasks->now.head) {
            struct car_task *task = tasks->now.head;
            queue_remove(tasks, task);
            task->run(task);
            if (++since_clock == CLOCK_EVERY) {
                since_clock = 0;
                if (car_clock_mono_us() - start > SLICE_US) {
                    break;
                }
            }
        }
    }
    bool more = tasks->now.head || tasks->later.head;
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
    run_slice(tasks);
    tasks->turn(tasks->owner);
}

static void on_check(uv_check_t *handle) {
    struct car_tasks *tasks = handle->data;
    queue_append(&tasks->now, &tasks->later); /* the loop has looked for input */
    run_slice(tasks);
}

void car_tasks_open(struct car_tasks *tasks, uv_loop_t *loop, void (*turn)(void *owner), void *owner) {
    tasks->turn = turn;
    tasks->owner = owner;
    queue_init(&tasks->now);
    queue_init(&tasks->later);
    tasks->idle_active = false;
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

void car_task_defer(struct car_tasks *tasks, struct car_task *task) {
    if (!task->pprev) {
        queue_push(&tasks->now, task);
    }
}

void car_task_defer_first(struct car_tasks *tasks, struct car_task *task) {
    if (task->pprev) {
        return;
    }
    struct car_task_queue *q = &tasks->now;
    task->next = q->head;
    task->pprev = &q->head;
    if (task->next) {
        task->next->pprev = &task->next;
    } else {
        q->tail = &task->next;
    }
    q->head = task;
}

void car_task_yield(struct car_tasks *tasks, struct car_task *task) {
    if (!task->pprev) {
        queue_push(&tasks->later, task);
    }
}

void car_task_cancel(struct car_tasks *tasks, struct car_task *task) {
    if (task->pprev) {
        queue_remove(tasks, task);
    }
}
