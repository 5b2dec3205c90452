#ifndef CARILLON_RUNTIME_FLOW_H
#define CARILLON_RUNTIME_FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct car_task;
struct car_tasks;

/* In a ring with a head of its own; `next` is NULL while it is in none. */
struct car_link {
    struct car_link *next, *prev;
};

/* What a flow may cost before others have their turn, in units of cost: bytes, or what takes as long as so many. Some
 * fifteen writes of one small event, or three of 64. */
#define CAR_FLOW_QUANTUM (64 << 10)

/* What a system call costs beside its bytes. */
#define CAR_FLOW_CALL 4096

/*
 * One tenant's work on one loop: its tasks (task.h), in the order in which they were deferred, and what it may still
 * cost. The flows that are ready are served by deficit round robin (M. Shreedhar and G. Varghese, Efficient Fair
 * Queueing Using Deficit Round Robin, 1996): each in turn gets a quantum and runs tasks as long as it has some of it
 * left. What a task costs is known when it has run, so the deficit goes below zero and is made good in the next rounds;
 * a flow that has nothing to do and owes nothing leaves with a deficit of zero: nothing is saved up.
 *
 * Owner: the loop's thread. Lives until the loop has ended.
 */
struct car_flow {
    struct car_link link;  /* first; among the ready ones */
    struct car_link tasks; /* the head of its own */
    int64_t deficit;
    bool served; /* it has its quantum of this round, and the slice ended before it was used up */
};

void car_flow_init(struct car_flow *flow);

/* Queues the task behind those of the flow; nothing where it is queued already. */
void car_flow_defer(struct car_tasks *tasks, struct car_flow *flow, struct car_task *task);

/* Queues the task in a ring of the caller's, where it waits for something until it is cancelled (task.h). It is in none
 * before. */
void car_flow_wait(struct car_link *ring, struct car_task *task);

/* The flow has cost that much, in one of its tasks or elsewhere: what is over a quantum it pays for in later rounds. */
void car_flow_charge(struct car_tasks *tasks, struct car_flow *flow, uint64_t cost);

/* Whether it owes a whole round: what else is to be done for it has to wait for its turn. */
static inline bool car_flow_is_spent(const struct car_flow *flow) {
    return flow->deficit <= -CAR_FLOW_QUANTUM;
}

#endif
