#include "carillon/feed/publish.h"

#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/log.h"
#include "carillon/feed/memory.h"
#include "carillon/runtime/worker.h"

#include "inlet.h"
#include "tenant_state.h"

static size_t bytes_of(const struct car_publish *publish) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < publish->count; i++) {
        bytes += publish->events[i]->size;
    }
    return bytes;
}

/* The tenant's budget has run out: what can be let go of is, and somebody else may be luckier. */
static void make_room(struct car_tenant *tenant, struct car_worker *worker) {
    struct car_feed *feed = car_feed_local(worker->feed)->feed;
    car_memory_press(feed, tenant, worker->reader, worker);
    if (car_drain_claim(tenant)) {
        feed->log->ops->ready(feed->log, tenant, worker); /* it forgets what it need not keep */
    }
}

bool car_publish_has_room(struct car_tenant *tenant, struct car_worker *worker, size_t bytes) {
    if (!car_memory_refuses(car_feed_local(worker->feed)->feed, tenant, bytes)) {
        return true;
    }
    car_cell_add(&car_feed_local(worker->feed)->metrics->memory_refused, 1);
    make_room(tenant, worker);
    return false;
}

int car_publish(struct car_publish *publish, struct car_worker *worker) {
    struct car_tenant *tenant = publish->tenant;
    struct car_feed_local *local = car_feed_local(worker->feed);
    if (atomic_load_explicit(&tenant->removed, memory_order_relaxed)) {
        return CAR_ECLOSED; /* whoever does not see it yet is refused by the drainer */
    }
    publish->bytes = bytes_of(publish);
    if (car_memory_never_fits(local->feed, publish->bytes)) {
        return CAR_ETOOBIG;
    }
    if (!car_publish_has_room(tenant, worker, publish->bytes)) {
        return CAR_ENOMEM;
    }
    car_memory_count(tenant, (int64_t)publish->bytes);
    publish->worker = worker;
    publish->status = 0;
    publish->replayed = false;
    car_feed_publishing(local, 1);
    car_cell_add(&local->metrics->queued, publish->bytes);
    int err = 0;
    bool drainer = car_drain_claim(tenant);
    if (drainer && !car_inlet_is_used(tenant) && !atomic_load(&tenant->stalled)) {
        tenant->first = publish;
    } else {
        err = car_inlet_put(tenant, publish);
        if (err) {
            car_memory_count(tenant, -(int64_t)publish->bytes);
            car_feed_publishing(local, -1);
            car_cell_add(&local->metrics->queued, -(uint64_t)publish->bytes);
        }
        drainer = drainer || car_drain_claim(tenant);
        /* Where it is not us, another thread may be numbering the event by now; its answer comes by our mailbox. */
    }
    if (drainer) {
        struct car_log *log = local->feed->log;
        log->ops->ready(log, tenant, worker);
    }
    return err;
}
