#ifndef CARILLON_RUNTIME_TASK_H
#define CARILLON_RUNTIME_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/*
 * Work put off to the end of the loop's turn, when everything readable has been read: fan-out of what was published in
 * the turn, then one write for each connection that has something waiting. A run that takes long is cut into slices, so
 * that the loop reads in between. Belongs to one loop's thread; a task is embedded in what it is for.
 */
struct car_task {
    struct car_task *next, **pprev; /* pprev is NULL while the task is not queued */
    void (*run)(struct car_task *task);
};

struct car_task_queue {
    struct car_task *head, **tail;
};

struct car_tasks {
    struct car_task_queue now;   /* run in this turn */
    struct car_task_queue later; /* run after the loop has looked for input once more */
    uv_prepare_t prepare;        /* before the loop sleeps: what timers and closings put off */
    uv_check_t check;            /* after it has read */
    uv_idle_t idle;              /* active while something is left, so that the loop does not sleep */
    bool idle_active;
    void (*turn)(void *owner);
    void *owner;
};

/* Ties the queues to a loop. `turn` is called once in every turn of the loop, before it sleeps. */
void car_tasks_open(struct car_tasks *tasks, uv_loop_t *loop, void (*turn)(void *owner), void *owner);

/* Closes the handles; tasks still queued never run. */
void car_tasks_close(struct car_tasks *tasks);

/* Queues the task for the end of this turn; nothing where it is queued already. */
void car_task_defer(struct car_tasks *tasks, struct car_task *task);

/* The same, but ahead of all that is queued: for what others wait for. */
void car_task_defer_first(struct car_tasks *tasks, struct car_task *task);

/* Queues the task for the next turn: how long work yields. Nothing where it is queued already. */
void car_task_yield(struct car_tasks *tasks, struct car_task *task);

/* Takes the task out of its queue; nothing where it is in none. */
void car_task_cancel(struct car_tasks *tasks, struct car_task *task);

static inline bool car_task_is_queued(const struct car_task *task) {
    return task->pprev != NULL;
}

#endif
