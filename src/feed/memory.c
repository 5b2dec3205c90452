#include "carillon/feed/memory.h"

#include <stdatomic.h>

#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/log.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "tenant_state.h"

void car_memory_count(struct car_tenant *tenant, int64_t change) {
    if (change) {
        atomic_fetch_add_explicit(&tenant->memory, change, memory_order_relaxed);
    }
}

uint64_t car_memory_used(const struct car_tenant *tenant) {
    int64_t counted = atomic_load_explicit(&tenant->memory, memory_order_relaxed);
    /* Below zero where somebody's part is seen before another's that came first. */
    return (counted > 0 ? (uint64_t)counted : 0) + (uint64_t)car_tenant_connections(tenant) * CAR_MEMORY_SESSION;
}

uint64_t car_memory_budget(const struct car_feed *feed) {
    uint64_t share = atomic_load_explicit(&feed->share, memory_order_relaxed);
    uint64_t budget = feed->tenant_memory ? feed->tenant_memory : UINT64_MAX;
    return share && share < budget ? share : budget;
}

bool car_memory_refuses(const struct car_feed *feed, const struct car_tenant *tenant, size_t bytes) {
    uint64_t budget = car_memory_budget(feed);
    return budget < UINT64_MAX && car_memory_used(tenant) + bytes > budget;
}

bool car_memory_trims(const struct car_feed *feed, const struct car_tenant *tenant) {
    uint64_t budget = car_memory_budget(feed);
    return budget < UINT64_MAX && feed->log->ops->ask && car_memory_used(tenant) > budget - budget / 4;
}

bool car_memory_has_history(const struct car_feed *feed, const struct car_tenant *tenant) {
    uint64_t end = car_history_newest(&tenant->history) + 1;
    return feed->log->ops->ask && end > car_history_oldest(&tenant->history) + CAR_MEMORY_EVENTS;
}

uint64_t car_memory_excess(const struct car_feed *feed, const struct car_tenant *tenant) {
    uint64_t budget = car_memory_budget(feed);
    uint64_t most = budget - budget / 8;
    uint64_t used = budget < UINT64_MAX ? car_memory_used(tenant) : 0;
    return used > most ? used - most : 0;
}

void car_memory_held(struct car_tenant *tenant, struct car_worker *worker, int64_t change) {
    car_memory_count(tenant, change);
    struct car_feed_local *local = car_feed_local(worker->feed);
    car_cell_add(&local->metrics->unsent, (uint64_t)change);
    if (change <= 0) {
        return;
    }
    car_filling_add(&local->feed->filling, (uint64_t)change);
    if (car_memory_excess(local->feed, tenant)) {
        struct car_lane *lane = car_lane_find(tenant, worker);
        if (lane) {
            car_lane_wake(lane);
        }
    }
}

/* History goes first where the log has it: its drainer is given that long for it, unless that much has come already. */
#define PATIENCE_MS 250

/* Near the budget, what has been kept for longer than this goes, so that there is room to publish. */
#define OLD_MS 2000

static void let_go_of_history(struct car_feed *feed, struct car_tenant *tenant, struct car_worker *worker) {
    bool may = car_memory_trims(feed, tenant) && car_memory_has_history(feed, tenant);
    if (may && car_drain_claim(tenant)) {
        feed->log->ops->ready(feed->log, tenant, worker);
    }
}

void car_memory_kept(struct car_tenant *tenant, struct car_worker *worker, int64_t change) {
    struct car_feed_local *local = car_feed_local(worker->feed);
    car_cell_add(&local->metrics->unwhole, (uint64_t)change);
    if (change > 0) {
        car_filling_add(&local->feed->filling, (uint64_t)change);
    }
    if (!tenant) {
        atomic_fetch_add_explicit(&local->feed->unclaimed, change, memory_order_relaxed);
        return;
    }
    car_memory_count(tenant, change);
    if (change > 0) {
        let_go_of_history(local->feed, tenant, worker);
    }
}

bool car_memory_denies(struct car_tenant *tenant, struct car_worker *worker) {
    struct car_feed *feed = car_feed_local(worker->feed)->feed;
    if (!car_memory_refuses(feed, tenant, 0)) {
        return false;
    }
    let_go_of_history(feed, tenant, worker);
    return !car_memory_has_history(feed, tenant) || car_memory_used(tenant) / 2 > car_memory_budget(feed);
}

bool car_memory_sheds(struct car_feed *feed, const struct car_tenant *tenant, uint64_t age_ms, bool input) {
    uint64_t share = atomic_load_explicit(&feed->share, memory_order_relaxed);
    if (!tenant) {
        return share && atomic_load_explicit(&feed->unclaimed, memory_order_relaxed) > (int64_t)share;
    }
    uint64_t budget = car_memory_budget(feed);
    uint64_t used = budget < UINT64_MAX ? car_memory_used(tenant) : 0;
    if (used <= budget - budget / 8) {
        return false;
    }
    bool history = car_memory_has_history(feed, tenant);
    if (used > budget && input) {
        return !history || age_ms >= PATIENCE_MS || used / 2 > budget;
    }
    return (used > budget || !history) && age_ms >= (share ? PATIENCE_MS : OLD_MS);
}

bool car_memory_seats_taken(const struct car_feed *feed, const struct car_tenant *tenant) {
    uint64_t budget = car_memory_budget(feed);
    return budget < UINT64_MAX && ((uint64_t)car_tenant_connections(tenant) + 1) * CAR_MEMORY_SESSION > budget / 2;
}

bool car_memory_is_modest(const struct car_feed *feed, const struct car_tenant *tenant) {
    return car_memory_used(tenant) < atomic_load_explicit(&feed->modest, memory_order_relaxed);
}

bool car_memory_never_fits(const struct car_feed *feed, size_t bytes) {
    return feed->tenant_memory && bytes > feed->tenant_memory;
}

void car_memory_press(const struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                      struct car_worker *self) {
    car_reader_enter(reader);
    struct car_lane *own = car_lanes_call(tenant, feed->worker_count, self);
    car_reader_leave(reader);
    if (own) {
        car_lane_wake(own);
    }
}
