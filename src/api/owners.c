#include "carillon/api/owners.h"

#include "carillon/feed/feed.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/memory.h"
#include "carillon/runtime/worker.h"

/* The net knows them by their address only; it has it from here. */
static struct car_tenant *tenant_of(const void *owner) {
    return (struct car_tenant *)(uintptr_t)owner;
}

static struct car_flow *flow(struct car_worker *worker, const void *owner) {
    return car_flow_of(tenant_of(owner), worker);
}

static void held(struct car_worker *worker, const void *owner, ptrdiff_t change) {
    car_memory_held(tenant_of(owner), worker, change);
}

static void kept(struct car_worker *worker, const void *owner, ptrdiff_t change) {
    car_memory_kept(tenant_of(owner), worker, change);
}

static bool sheds(struct car_worker *worker, const void *owner, uint64_t age_ms, bool input) {
    return car_memory_sheds(car_feed_local(worker->feed)->feed, tenant_of(owner), age_ms, input);
}

static bool fits(struct car_worker *worker, const void *owner, size_t bytes) {
    (void)owner; /* all may have the same */
    return !car_memory_never_fits(car_feed_local(worker->feed)->feed, bytes);
}

static bool modest(struct car_worker *worker, const void *owner) {
    return car_memory_is_modest(car_feed_local(worker->feed)->feed, tenant_of(owner));
}

const struct car_net_owners car_api_owners = {
    .flow = flow, .held = held, .kept = kept, .sheds = sheds, .fits = fits, .modest = modest};
