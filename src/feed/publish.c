#include "carillon/feed/publish.h"

#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/runtime/worker.h"

#include "inlet.h"
#include "tenant_state.h"

int car_publish(struct car_publish *publish, struct car_worker *worker) {
    struct car_tenant *tenant = publish->tenant;
    struct car_feed_local *local = car_feed_local(worker->feed);
    if (atomic_load_explicit(&tenant->removed, memory_order_relaxed)) {
        return CAR_ECLOSED; /* whoever does not see it yet is refused by the drainer */
    }
    publish->worker = worker;
    publish->status = 0;
    publish->replayed = false;
    car_feed_publishing(local, 1);
    int err = 0;
    bool drainer = car_drain_claim(tenant);
    if (drainer && !car_inlet_is_used(tenant) && !atomic_load(&tenant->stalled)) {
        tenant->first = publish;
    } else {
        err = car_inlet_put(tenant, publish);
        if (err) {
            car_feed_publishing(local, -1);
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
