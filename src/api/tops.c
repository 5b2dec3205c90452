#include "tops.h"

#include <pthread.h>
#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/metrics.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/feed/traffic.h"

#define OTHER "_other"

/* How many times as much traffic an outsider has to have as one that is told of, to take its place. */
#define AHEAD 2

enum family { PUBLISHED, PUBLISHED_BYTES, DELIVERED, DELIVERED_BYTES, FAMILIES };

static const struct car_metric ROWS[] = {
    [PUBLISHED] = {.name = "carillon_tenant_published_events_total",
                   .help = "Events that a tenant has published.",
                   .kind = CAR_METRIC_COUNTER},
    [PUBLISHED_BYTES] = {.name = "carillon_tenant_published_bytes_total",
                         .help = "Bytes of these as JSON.",
                         .kind = CAR_METRIC_COUNTER},
    [DELIVERED] = {.name = "carillon_tenant_delivered_events_total",
                   .help = "Events handed to a tenant's subscribers.",
                   .kind = CAR_METRIC_COUNTER},
    [DELIVERED_BYTES] = {.name = "carillon_tenant_delivered_bytes_total",
                         .help = "Bytes of these as they go over the wire.",
                         .kind = CAR_METRIC_COUNTER},
    [FAMILIES] = {.name = "carillon_tenant_subscribers",
                  .help = "A tenant's subscribers: sessions that are connected.",
                  .kind = CAR_METRIC_GAUGE},
};

/* A tenant that is told of. */
struct shown {
    struct car_tenant *tenant;
    uint64_t before[FAMILIES]; /* what it had done when that began */
    uint64_t now[FAMILIES];
    uint64_t subscribers;
    bool seen; /* in this walk */
};

struct outsider {
    struct car_tenant *tenant;
    uint64_t traffic;
    uint64_t now[FAMILIES];
};

struct car_tops {
    pthread_mutex_t mutex; /* of all that follows */
    unsigned max;
    unsigned count; /* of `shown`, in the order of the tenants' addresses */
    struct shown *shown;
    unsigned outsider_count; /* of a walk, the most traffic first */
    struct outsider *outsiders;

    /* of a walk */
    const struct car_feed *feed;
    struct car_reader *reader;
    uint64_t others[FAMILIES], other_subscribers;

    bool complete;           /* after the last walk all that had any traffic were told of */
    uint64_t gone[FAMILIES]; /* what tenants had done while they were told of, that are not any more */
    uint64_t told[FAMILIES]; /* the others', the last time */
};

struct car_tops *car_tops_new(unsigned max) {
    struct car_tops *tops = calloc(1, sizeof *tops);
    struct shown *shown = calloc(max, sizeof *shown);
    struct outsider *outsiders = calloc(max, sizeof *outsiders);
    if (!tops || !shown || !outsiders || pthread_mutex_init(&tops->mutex, NULL)) {
        free(tops);
        free(shown);
        free(outsiders);
        return NULL;
    }
    tops->max = max;
    tops->complete = true; /* nothing has been told of anybody */
    tops->shown = shown;
    tops->outsiders = outsiders;
    return tops;
}

void car_tops_free(struct car_tops **tops) {
    struct car_tops *t = *tops;
    *tops = NULL;
    if (t) {
        pthread_mutex_destroy(&t->mutex);
        free(t->shown);
        free(t->outsiders);
        free(t);
    }
}

static uint64_t traffic_of(const uint64_t now[FAMILIES]) {
    return now[PUBLISHED_BYTES] + now[DELIVERED_BYTES];
}

static int by_address(const void *left, const void *right) {
    uintptr_t a = (uintptr_t)((const struct shown *)left)->tenant;
    uintptr_t b = (uintptr_t)((const struct shown *)right)->tenant;
    return (a > b) - (a < b);
}

static struct shown *find(const struct car_tops *tops, struct car_tenant *tenant) {
    const struct shown wanted = {.tenant = tenant};
    return bsearch(&wanted, tops->shown, tops->count, sizeof wanted, by_address);
}

static void read_traffic(const struct car_tops *tops, struct car_tenant *tenant, uint64_t now[FAMILIES]) {
    struct car_traffic traffic = car_tenant_traffic(tops->feed, tenant, tops->reader);
    now[PUBLISHED] = traffic.published;
    now[PUBLISHED_BYTES] = traffic.published_bytes;
    now[DELIVERED] = traffic.delivered;
    now[DELIVERED_BYTES] = traffic.delivered_bytes;
}

static void add_others(struct car_tops *tops, const uint64_t now[FAMILIES]) {
    for (int i = 0; i < FAMILIES; i++) {
        tops->others[i] += now[i];
    }
}

/* Keeps those with the most traffic, which may be told of. */
static void propose(struct car_tops *tops, struct car_tenant *tenant, const uint64_t now[FAMILIES]) {
    uint64_t traffic = traffic_of(now);
    unsigned at = tops->outsider_count;
    if (traffic == 0 || (at == tops->max && tops->outsiders[at - 1].traffic >= traffic)) {
        return;
    }
    at -= at == tops->max;
    for (; at > 0 && tops->outsiders[at - 1].traffic < traffic; at--) {
        tops->outsiders[at] = tops->outsiders[at - 1];
    }
    struct outsider *outsider = &tops->outsiders[at];
    *outsider = (struct outsider){.tenant = tenant, .traffic = traffic};
    memcpy(outsider->now, now, sizeof outsider->now);
    tops->outsider_count += tops->outsider_count < tops->max;
}

static void visit(struct car_tenant *tenant, void *user) {
    struct car_tops *tops = user;
    uint64_t now[FAMILIES];
    struct shown *shown = find(tops, tenant);
    read_traffic(tops, tenant, now);
    if (shown) {
        shown->seen = true;
        shown->subscribers = car_tenant_connections(tenant);
        for (int i = 0; i < FAMILIES; i++) {
            shown->now[i] = now[i] > shown->now[i] ? now[i] : shown->now[i]; /* see car_tenant_traffic */
        }
        add_others(tops, shown->before);
    } else {
        tops->other_subscribers += car_tenant_connections(tenant);
        add_others(tops, now);
        propose(tops, tenant, now);
    }
}

static void visit_removed(struct car_tenant *tenant, void *user) {
    struct car_tops *tops = user;
    uint64_t now[FAMILIES];
    read_traffic(tops, tenant, now);
    add_others(tops, now);
}

/* It is told of no longer: what it has done up to now counts as the others', but for what was told of it. */
static void let_go(struct car_tops *tops, const struct shown *shown) {
    for (int i = 0; i < FAMILIES; i++) {
        tops->gone[i] += shown->now[i] - shown->before[i];
    }
}

/* Those that were removed since; the walk over the removed has counted them with the others. */
static void drop_removed(struct car_tops *tops) {
    unsigned kept = 0;
    for (unsigned i = 0; i < tops->count; i++) {
        if (tops->shown[i].seen) {
            tops->shown[i].seen = false;
            tops->shown[kept++] = tops->shown[i];
        } else {
            let_go(tops, &tops->shown[i]);
        }
    }
    tops->count = kept;
}

/* The one with the least traffic. */
static struct shown *weakest(const struct car_tops *tops) {
    struct shown *least = &tops->shown[0];
    for (unsigned i = 1; i < tops->count; i++) {
        least = traffic_of(tops->shown[i].now) < traffic_of(least->now) ? &tops->shown[i] : least;
    }
    return least;
}

/* The tenant is told of from now on: with all that it has done, where nothing of that was told as the others'; else up
 * to now it counts with them. */
static void show(struct car_tops *tops, const struct outsider *outsider, struct shown *place) {
    *place = (struct shown){.tenant = outsider->tenant, .subscribers = car_tenant_connections(outsider->tenant)};
    memcpy(place->now, outsider->now, sizeof place->now);
    for (int i = 0; i < FAMILIES; i++) {
        place->before[i] = tops->complete ? 0 : place->now[i];
        tops->others[i] -= tops->complete ? place->now[i] : 0;
    }
    tops->other_subscribers -=
        place->subscribers < tops->other_subscribers ? place->subscribers : tops->other_subscribers;
}

static void choose(struct car_tops *tops) {
    for (unsigned i = 0; i < tops->outsider_count; i++) {
        const struct outsider *outsider = &tops->outsiders[i];
        if (tops->count < tops->max) {
            show(tops, outsider, &tops->shown[tops->count++]);
            continue;
        }
        struct shown *least = weakest(tops);
        if (outsider->traffic / AHEAD <= traffic_of(least->now)) {
            break;
        }
        /* Up to now it has been counted by its name; its place among the others is where it stood before. */
        tops->other_subscribers += least->subscribers;
        for (int k = 0; k < FAMILIES; k++) {
            tops->others[k] += least->now[k] - least->before[k];
        }
        let_go(tops, least);
        show(tops, outsider, least);
    }
    tops->complete = tops->count < tops->max;
    qsort(tops->shown, tops->count, sizeof *tops->shown, by_address);
}

static void walk(struct car_tops *tops) {
    memset(tops->others, 0, sizeof tops->others);
    tops->other_subscribers = 0;
    tops->outsider_count = 0;
    /* In this order one that is removed meanwhile is missed, and found the next time: the other way it would count
     * twice. */
    car_registry_each_removed(tops->feed->registry, visit_removed, tops);
    car_registry_each(tops->feed->registry, visit, tops);
    drop_removed(tops);
    choose(tops);
    for (int i = 0; i < FAMILIES; i++) {
        uint64_t now = tops->others[i] > tops->gone[i] ? tops->others[i] - tops->gone[i] : 0;
        tops->told[i] = now > tops->told[i] ? now : tops->told[i];
    }
}

static void write_family(const struct car_tops *tops, int family, struct car_buf *out) {
    const struct car_metric *row = &ROWS[family];
    car_metrics_write_head(out, row);
    for (unsigned i = 0; i < tops->count; i++) {
        const struct shown *shown = &tops->shown[i];
        uint64_t n = family == FAMILIES ? shown->subscribers : shown->now[family] - shown->before[family];
        car_metrics_write_series(out, row, "tenant", car_tenant_id(shown->tenant), n);
    }
    car_metrics_write_series(out, row, "tenant", CAR_SPAN(OTHER),
                             family == FAMILIES ? tops->other_subscribers : tops->told[family]);
}

void car_tops_write(struct car_tops *tops, struct car_feed *feed, struct car_reader *reader, struct car_buf *out) {
    pthread_mutex_lock(&tops->mutex);
    tops->feed = feed;
    tops->reader = reader;
    walk(tops);
    for (int i = 0; i <= FAMILIES; i++) {
        write_family(tops, i, out);
    }
    pthread_mutex_unlock(&tops->mutex);
}
