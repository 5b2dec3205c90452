#include "carillon/feed/flows.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/feed/feed.h"
#include "carillon/runtime/worker.h"

#include "tenant_state.h"

/* Workers do not share a line of them. */
#define LINE 64

union place {
    struct car_flow flow;
    char line[LINE];
};

static struct car_flow *make(struct car_tenant *tenant, unsigned count) {
    union place *places = aligned_alloc(LINE, count * sizeof *places);
    struct car_flow *flows = NULL;
    if (!places) {
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        car_flow_init(&places[i].flow);
    }
    if (atomic_compare_exchange_strong(&tenant->flows, &flows, &places->flow)) {
        return &places->flow;
    }
    free(places);
    return flows;
}

struct car_flow *car_flow_of(struct car_tenant *tenant, struct car_worker *worker) {
    struct car_flow *flows = atomic_load_explicit(&tenant->flows, memory_order_acquire);
    if (!flows) {
        flows = make(tenant, car_feed_local(worker->feed)->feed->worker_count);
    }
    return flows ? &((union place *)flows)[worker->id].flow : &worker->tasks.common;
}
