#include <jansson.h>
#include <malloc.h>
#include <stdatomic.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#include "call.h"
#include "overseer.h"
#include "process.h"
#include "respond.h"

static json_t *memory(void) {
    struct mallinfo2 heap = mallinfo2();
    json_int_t mapped = (json_int_t)heap.hblkhd;
    return json_pack("{s:I,s:I,s:I}", "rss", (json_int_t)car_process_resident(), "heapTotal",
                     (json_int_t)heap.arena + mapped, "heapUsed", (json_int_t)heap.uordblks + mapped);
}

static json_int_t connections(const struct car_feed *feed) {
    json_int_t n = 0;
    for (unsigned i = 0; i < feed->worker_count; i++) {
        n += atomic_load_explicit(&feed->workers[i]->connections, memory_order_relaxed);
    }
    return n;
}

/* Of Socket.IO, whatever their transport: one that is polling has a connection only now and then. */
static json_int_t sessions(const struct car_call *call) {
    return atomic_load_explicit(&car_net_local(call->worker)->net->sessions, memory_order_relaxed);
}

struct totals {
    const struct car_feed *feed;
    json_int_t events;
    json_t *tenants; /* NULL where they are not to be told */
};

static void add(struct car_tenant *tenant, void *user) {
    struct totals *totals = user;
    uint64_t newest = car_tenant_newest(tenant);
    uint64_t oldest = car_feed_oldest(totals->feed, tenant);
    json_int_t kept = newest >= oldest ? (json_int_t)(newest - oldest + 1) : 0;
    struct car_span id = car_tenant_id(tenant);
    totals->events += kept;
    if (totals->tenants) {
        json_object_setn_new(totals->tenants, id.ptr, id.len,
                             json_pack("{s:I,s:I,s:I}", "total", kept, "last_seq", (json_int_t)newest, "connections",
                                       (json_int_t)car_tenant_connections(tenant)));
    }
}

void car_health(struct car_call *call) {
    struct totals totals = {.feed = call->api->feed, .tenants = car_may_know_tenants(call) ? json_object() : NULL};
    car_registry_each(call->api->feed->registry, add, &totals);
    char now[CAR_RFC3339_LEN];
    car_rfc3339_write(car_clock_wall_ms(), now);
    double uptime = (double)(car_clock_mono_us() - call->api->started_us) / 1e6;
    json_t *document = json_pack("{s:s,s:s%,s:s,s:f,s:o,s:I,s:I,s:{s:I,s:o*}}", "status", "healthy", "timestamp", now,
                                 sizeof now, "version", call->api->version, "uptime", uptime, "memory", memory(),
                                 "connections", connections(call->api->feed), "sessions", sessions(call), "eventStats",
                                 "totalEvents", totals.events, "tenantStats", totals.tenants);
    car_respond_json(call->exchange, 200, document);
}

void car_livez(struct car_call *call) {
    car_respond_json(call->exchange, 200, json_pack("{s:s}", "status", "alive"));
}

void car_readyz(struct car_call *call) {
    if (atomic_load_explicit(&call->api->net->draining, memory_order_relaxed)) {
        car_respond_problem(call->exchange, 503, "draining", NULL, NULL);
        return;
    }
    if (atomic_load_explicit(&call->api->feed->log->failing, memory_order_relaxed)) {
        car_respond_problem(call->exchange, 503, "the store takes nothing", NULL, NULL);
        return;
    }
    car_respond_json(call->exchange, 200, json_pack("{s:s}", "status", "ready"));
}
