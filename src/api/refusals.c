#include "refusals.h"

#include <string.h>

#include "carillon/base/audit.h"
#include "carillon/base/clock.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/runtime/worker.h"

#include "routes.h"

/* What does not fit is cut. */
static void put(char *out, size_t size, struct car_span text) {
    size_t len = text.len < size ? text.len : size - 1;
    if (len) {
        memcpy(out, text.ptr, len);
    }
    out[len] = '\0';
}

/* What was asked for: a request's route, and never its path, in which somebody may have put anything. */
static struct car_span place_of(const struct car_audit_entry *entry) {
    struct car_route_segments ignored;
    if (!entry->method.ptr) {
        return entry->path;
    }
    const struct car_route *route = car_route_find(entry->path, &ignored);
    return route ? route->path : car_span_of(NULL, 0);
}

static struct car_span tenant_of(struct car_worker *worker, struct car_span named, const struct car_tenant *tenant) {
    if (!tenant && named.ptr && car_tenant_id_ok(named)) {
        tenant = car_registry_find(car_feed_local(worker->feed)->feed->registry, worker->reader, named);
    }
    return tenant ? car_tenant_id(tenant) : car_span_of(NULL, 0);
}

void car_refusals_note(struct car_worker *worker, const struct car_audit_entry *entry, struct car_tenant *tenant) {
    struct car_refusals *refusals = car_refusals_of(worker);
    struct car_refused *refused = &refusals->ring[refusals->count++ % CAR_REFUSALS_KEPT];
    refused->at_ms = car_clock_wall_ms();
    refused->act = entry->act;
    refused->status = entry->status;
    put(refused->method, sizeof refused->method, entry->method);
    put(refused->path, sizeof refused->path, place_of(entry));
    put(refused->tenant, sizeof refused->tenant, tenant_of(worker, entry->tenant, tenant));
    put(refused->client, sizeof refused->client, entry->peer);
    put(refused->reason, sizeof refused->reason, car_span_cstr(entry->reason));
    put(refused->request_id, sizeof refused->request_id, entry->request_id);
    if (tenant) {
        car_tenant_count_refused(tenant);
    }
}

unsigned car_refusals_copy(const struct car_refusals *refusals, struct car_refused *out, unsigned max) {
    unsigned n = 0;
    for (; n < max && n < CAR_REFUSALS_KEPT && n < refusals->count; n++) {
        out[n] = refusals->ring[(refusals->count - 1 - n) % CAR_REFUSALS_KEPT];
    }
    return n;
}
