#include "inlet.h"

#include "carillon/base/err.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/ring.h"

#include "tenant_state.h"

#define SLOTS 1024

static struct car_ring *ring_of(struct car_tenant *tenant) {
    struct car_ring *ring = atomic_load_explicit(&tenant->inlet, memory_order_acquire);
    if (!ring) {
        struct car_ring *fresh = car_ring_new(SLOTS);
        if (fresh && atomic_compare_exchange_strong(&tenant->inlet, &ring, fresh)) {
            ring = fresh;
        } else if (fresh) {
            car_ring_free(&fresh);
        }
    }
    return ring;
}

int car_inlet_put(struct car_tenant *tenant, struct car_publish *publish) {
    struct car_ring *ring = ring_of(tenant);
    if (!ring) {
        return CAR_ENOMEM;
    }
    if (!car_ring_put_mpsc(ring, publish)) {
        return CAR_EFULL;
    }
    atomic_store(&tenant->queued, true);
    return 0;
}

size_t car_inlet_take(struct car_tenant *tenant, struct car_publish **out, size_t max) {
    size_t n = 0;
    size_t events = 0;
    if (max > 0 && atomic_load(&tenant->queued)) {
        atomic_exchange(&tenant->queued, false);
        struct car_ring *ring = atomic_load_explicit(&tenant->inlet, memory_order_acquire);
        while (events < max && (out[n] = car_ring_take_mpsc(ring))) {
            events += out[n++]->count;
        }
        if (events >= max) {
            atomic_store(&tenant->queued, true); /* there may be more */
        }
    }
    return n;
}

bool car_inlet_is_used(const struct car_tenant *tenant) {
    return atomic_load(&tenant->queued);
}
