#include "carillon/feed/publish.h"

#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/ring.h"
#include "carillon/runtime/worker.h"

#include "tenant_state.h"

#define INLET_SLOTS 1024

static struct car_ring *inlet_of(struct car_tenant *tenant) {
    struct car_ring *inlet = atomic_load_explicit(&tenant->inlet, memory_order_acquire);
    if (!inlet) {
        struct car_ring *fresh = car_ring_new(INLET_SLOTS);
        if (fresh && atomic_compare_exchange_strong(&tenant->inlet, &inlet, fresh)) {
            inlet = fresh;
        } else if (fresh) {
            car_ring_free(&fresh);
        }
    }
    return inlet;
}

int car_publish(struct car_publish *publish, struct car_worker *worker) {
    struct car_tenant *tenant = publish->tenant;
    struct car_ring *inlet = inlet_of(tenant);
    if (!inlet) {
        return CAR_ENOMEM;
    }
    publish->worker = worker;
    struct car_feed_local *local = car_feed_local(worker->feed);
    car_feed_publishing(local, 1);
    if (!car_ring_put_mpsc(inlet, publish)) {
        car_feed_publishing(local, -1);
        return CAR_EFULL;
    }
    /* From here on another thread may be numbering the event; its answer comes through our mailbox. */
    if (car_drain_claim(tenant)) {
        struct car_log *log = local->feed->log;
        log->ops->ready(log, tenant, worker);
    }
    return 0;
}
