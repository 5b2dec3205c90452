#include "carillon/runtime/flow.h"

#include <assert.h>

#include "carillon/runtime/task.h"

#include "link.h"

static void make_ready(struct car_tasks *tasks, struct car_flow *flow) {
    if (!flow->link.next) {
        car_link_put(tasks->ready.prev, &flow->link);
    }
}

void car_flow_init(struct car_flow *flow) {
    *flow = (struct car_flow){0};
    car_link_init(&flow->tasks);
}

void car_flow_defer(struct car_tasks *tasks, struct car_flow *flow, struct car_task *task) {
    if (!task->link.next) {
        car_link_put(flow->tasks.prev, &task->link);
        make_ready(tasks, flow);
    }
}

void car_flow_wait(struct car_link *ring, struct car_task *task) {
    assert(!task->link.next);
    car_link_put(ring->prev, &task->link);
}

void car_flow_charge(struct car_tasks *tasks, struct car_flow *flow, uint64_t cost) {
    flow->deficit -= (int64_t)cost;
    make_ready(tasks, flow);
}
