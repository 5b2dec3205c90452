#include "ranking.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

static const char *const NAMES[] = {
    [CAR_BY_TRAFFIC] = "traffic", [CAR_BY_RATE] = "rate",     [CAR_BY_CONNECTIONS] = "connections",
    [CAR_BY_EVENTS] = "events",   [CAR_BY_MEMORY] = "memory", [CAR_BY_REFUSED] = "refused",
    [CAR_BY_ID] = "id",
};

bool car_ranking_by_name(struct car_span name, enum car_ranking_by *out) {
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (car_span_eq(name, car_span_cstr(NAMES[i]))) {
            *out = (enum car_ranking_by)i;
            return true;
        }
    }
    return false;
}

/* Making it. */

struct listing {
    struct car_ranking *ranking;
    size_t room;
};

static void list(struct car_tenant *tenant, void *user) {
    struct listing *listing = user;
    if (listing->ranking->count < listing->room) {
        listing->ranking->standings[listing->ranking->count++].tenant = tenant;
    }
}

static void look(struct car_standing *standing, const struct car_feed *feed, struct car_worker *worker,
                 int64_t now_ms) {
    struct car_tenant *tenant = standing->tenant;
    uint64_t newest = car_tenant_newest(tenant);
    uint64_t oldest = car_feed_oldest(feed, tenant);
    standing->traffic = car_tenant_traffic(feed, tenant, worker->reader);
    standing->rate_1m = car_tenant_rate_1m(tenant, now_ms);
    standing->connections = car_tenant_guests(tenant);
    standing->events = newest >= oldest ? newest - oldest + 1 : 0;
    standing->memory = car_memory_used(tenant);
    standing->refused = car_tenant_refused(tenant);
}

int car_ranking_make(struct car_ranking *ranking, const struct car_api *api, struct car_worker *worker) {
    const struct car_feed *feed = api->feed;
    struct listing listing = {.ranking = ranking, .room = car_registry_count(feed->registry)};
    int64_t now_ms = car_clock_wall_ms();
    *ranking = (struct car_ranking){.standings = calloc(listing.room + 1, sizeof *ranking->standings)};
    if (!ranking->standings) {
        return CAR_ENOMEM;
    }
    car_registry_each(feed->registry, list, &listing);
    for (size_t i = 0; i < ranking->count; i++) {
        look(&ranking->standings[i], feed, worker, now_ms);
        ranking->connections += ranking->standings[i].connections;
    }
    return 0;
}

void car_ranking_free(struct car_ranking *ranking) {
    free(ranking->standings);
    *ranking = (struct car_ranking){0};
}

void car_ranking_filter(struct car_ranking *ranking, struct car_worker *worker, const char *text) {
    size_t kept = 0;
    car_reader_enter(worker->reader);
    for (size_t i = 0; i < ranking->count; i++) {
        const struct car_tenant *tenant = ranking->standings[i].tenant;
        if (strcasestr(car_tenant_id(tenant).ptr, text) || strcasestr(car_tenant_terms(tenant)->name, text)) {
            ranking->standings[kept++] = ranking->standings[i];
        }
    }
    car_reader_leave(worker->reader);
    ranking->count = kept;
}

/* Order. */

static double measure(const struct car_standing *standing, enum car_ranking_by by) {
    switch (by) {
    case CAR_BY_TRAFFIC:
        return (double)(standing->traffic.published_bytes + standing->traffic.delivered_bytes);
    case CAR_BY_RATE:
        return standing->rate_1m;
    case CAR_BY_CONNECTIONS:
        return (double)standing->connections;
    case CAR_BY_EVENTS:
        return (double)standing->events;
    case CAR_BY_MEMORY:
        return (double)standing->memory;
    case CAR_BY_REFUSED:
        return (double)standing->refused;
    default:
        return 0;
    }
}

struct order {
    enum car_ranking_by by;
    bool up;
};

/* Who have the same of it are in the order of their ids, either way. */
static int compare(const void *left, const void *right, void *user) {
    const struct order *order = user;
    const struct car_standing *a = left;
    const struct car_standing *b = right;
    double of_a = measure(a, order->by);
    double of_b = measure(b, order->by);
    int ids = strcmp(car_tenant_id(a->tenant).ptr, car_tenant_id(b->tenant).ptr);
    if (order->by == CAR_BY_ID) {
        return order->up ? -ids : ids;
    }
    return of_a == of_b ? ids : (of_a > of_b) == order->up ? 1 : -1;
}

void car_ranking_sort(struct car_ranking *ranking, enum car_ranking_by by, bool up) {
    struct order order = {by, up};
    qsort_r(ranking->standings, ranking->count, sizeof *ranking->standings, compare, &order);
}

/* As JSON. */

static json_t *row(const struct car_standing *standing) {
    const struct car_tenant *tenant = standing->tenant;
    const char *name = car_tenant_terms(tenant)->name;
    char at[CAR_RFC3339_LEN];
    struct car_span id = car_tenant_id(tenant);
    car_rfc3339_write(car_tenant_created_ms(tenant), at);
    return json_pack(
        "{s:s%,s:s,s:s%,s:I,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "id", id.ptr, id.len, "name", name[0] ? name : id.ptr,
        "created_at", at, sizeof at, "connections", (json_int_t)standing->connections, "rate_1m", standing->rate_1m,
        "published", (json_int_t)standing->traffic.published, "published_bytes",
        (json_int_t)standing->traffic.published_bytes, "delivered", (json_int_t)standing->traffic.delivered,
        "delivered_bytes", (json_int_t)standing->traffic.delivered_bytes, "events", (json_int_t)standing->events,
        "memory", (json_int_t)standing->memory, "refused", (json_int_t)standing->refused);
}

json_t *car_ranking_json(const struct car_ranking *ranking, struct car_worker *worker, size_t max) {
    json_t *rows = json_array();
    car_reader_enter(worker->reader); /* names are borrowed */
    for (size_t i = 0; i < ranking->count && i < max; i++) {
        if (json_array_append_new(rows, row(&ranking->standings[i])) != 0) {
            json_decref(rows);
            rows = NULL;
            break;
        }
    }
    car_reader_leave(worker->reader);
    return rows;
}
