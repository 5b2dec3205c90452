#ifndef CARILLON_RUNTIME_TASK_H
#define CARILLON_RUNTIME_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "carillon/runtime/flow.h"

/*
 * Work put off to the end of the loop's turn, when everything readable has been read: fan-out of what was published in
 * the turn, then one write for each connection that has something waiting. Each task is queued in a flow, a tenant's or
 * the common one, and these take turns (flow.h). A run that takes long is cut into slices, so that the loop reads in
 * between. Belongs to one loop's thread; a task is embedded in what it is for.
 */
struct car_task {
    struct car_link link; /* first */
    void (*run)(struct car_task *task);
};

struct car_tasks {
    struct car_flow common; /* of what is nobody's in particular */
    struct car_link ready;  /* the flows that have tasks, or owe */
    struct car_link later;  /* run after the loop has looked for input once more */
    uv_prepare_t prepare;   /* before the loop sleeps: what timers and closings put off */
    uv_check_t check;       /* after it has read */
    uv_idle_t idle;         /* active while something is left, so that the loop does not sleep */
    bool idle_active;
    bool over;                     /* the last slice was, and left something */
    const struct car_flow *served; /* the last one, but for the common one; only compared */
    uint64_t shared_until;         /* as of car_turn_us: several are served */
    void (*turn)(void *owner);
    void *owner;
};

/* Ties the queues to a loop. `turn` is called once in every turn of the loop, before it sleeps. */
void car_tasks_open(struct car_tasks *tasks, uv_loop_t *loop, void (*turn)(void *owner), void *owner);

/* Closes the handles; tasks still queued never run. */
void car_tasks_close(struct car_tasks *tasks);

/* Whether nothing is left to do. */
bool car_tasks_are_done(const struct car_tasks *tasks);

/* Whether another flow than that one has work waiting: others would feel what takes long. */
bool car_tasks_others_wait(const struct car_tasks *tasks, const struct car_flow *flow);

/* Queues the task in the common flow, for the end of this turn; nothing where it is queued already. */
void car_task_defer(struct car_tasks *tasks, struct car_task *task);

/* The same, but ahead of all that is queued in any flow: for what others wait for. */
void car_task_defer_first(struct car_tasks *tasks, struct car_task *task);

/* Queues the task for the next turn, in the common flow: how work yields. Nothing where it is queued already. */
void car_task_yield(struct car_tasks *tasks, struct car_task *task);

/* Takes the task out of its queue; nothing where it is in none. */
void car_task_cancel(struct car_tasks *tasks, struct car_task *task);

static inline bool car_task_is_queued(const struct car_task *task) {
    return task->link.next != NULL;
}

#endif
