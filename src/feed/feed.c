#include "carillon/feed/feed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/base/siphash.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/proto/deflate.h"
#include "carillon/runtime/worker.h"

#include "tenant_state.h"

#define DEFLATE_LEVEL 1 /* the frames are small, and every one is made on the way to a socket */

static void on_turn_end(struct car_turn_end *end, uint64_t now_us) {
    struct car_feed_local *local = (struct car_feed_local *)((char *)end - offsetof(struct car_feed_local, turn_end));
    if (local->fanout_us) {
        car_histogram_add(&local->metrics->fanout, now_us - local->fanout_us, 1);
        car_histogram_add(&local->metrics->latency, now_us - local->oldest_us, 1);
        local->fanout_us = 0;
    }
}

int car_feed_attach(struct car_feed *feed, struct car_worker *worker) {
    struct car_feed_local *local = calloc(1, sizeof *local);
    struct car_deflater *deflater = car_deflater_new(DEFLATE_LEVEL);
    struct car_feed_metrics *metrics = car_metrics_block(sizeof *metrics);
    if (!local || !deflater || !metrics) {
        free(local);
        free(metrics);
        car_deflater_free(&deflater);
        return CAR_ENOMEM;
    }
    local->feed = feed;
    local->wires = (struct car_wire_kit){.deflater = deflater, .named_head = feed->named_head};
    local->metrics = metrics;
    local->turn_end.run = on_turn_end;
    car_worker_at_turn_end(worker, &local->turn_end);
    worker->feed = local;
    return 0;
}

void car_feed_detach(struct car_worker *worker) {
    struct car_feed_local *local = worker->feed;
    worker->feed = NULL;
    if (local) {
        car_deflater_free(&local->wires.deflater);
        free(local->metrics);
        free(local);
    }
}

uint64_t car_feed_retain(const struct car_feed *feed, const struct car_tenant *tenant) {
    uint64_t own = atomic_load_explicit(&tenant->retain, memory_order_relaxed);
    return own ? own : feed->retain;
}

uint32_t car_feed_keep(const struct car_feed *feed, const struct car_tenant *tenant) {
    uint32_t own = atomic_load_explicit(&tenant->buffer, memory_order_relaxed);
    uint32_t keep = own ? own : feed->keep;
    uint64_t retain = car_feed_retain(feed, tenant);
    return retain && retain < keep ? (uint32_t)retain : keep;
}

uint64_t car_feed_oldest(const struct car_feed *feed, const struct car_tenant *tenant) {
    if (!feed->log->ops->ask) {
        return car_tenant_oldest(tenant, car_feed_keep(feed, tenant));
    }
    /* The log follows a little behind. */
    uint64_t oldest = car_tenant_forgotten(tenant) + 1;
    uint64_t newest = car_tenant_newest(tenant);
    uint64_t retain = car_feed_retain(feed, tenant);
    bool over = retain && newest >= oldest && newest - oldest >= retain;
    return over ? newest - retain + 1 : oldest;
}

void car_feed_epoch(const struct car_feed *feed, const struct car_tenant *tenant, char out[CAR_EPOCH_LEN + 1]) {
    uint64_t key[2];
    static_assert(sizeof key == CAR_EPOCH_LEN, "the epoch keys the hash");
    if (tenant->salt == 0) {
        memcpy(out, feed->epoch, CAR_EPOCH_LEN + 1);
        return;
    }
    memcpy(key, feed->epoch, sizeof key);
    uint64_t own = car_siphash(key, &tenant->salt, sizeof tenant->salt);
    (void)snprintf(out, CAR_EPOCH_LEN + 1, "%016llx", (unsigned long long)own);
}

uint64_t car_feed_seq_of(const struct car_feed *feed, const struct car_tenant *tenant, struct car_span id) {
    struct car_uuid uuid;
    if (car_uuid_read(id, &uuid) != 0) {
        return 0;
    }
    uint64_t seq = car_event_id_seq(&feed->id_key, car_tenant_id(tenant), tenant->salt, &uuid);
    return seq <= car_tenant_newest(tenant) ? seq : 0;
}
