#include "carillon/feed/feed.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/proto/deflate.h"
#include "carillon/runtime/worker.h"

#define DEFLATE_LEVEL 1 /* the frames are small, and every one is made on the way to a socket */

int car_feed_attach(struct car_feed *feed, struct car_worker *worker) {
    struct car_feed_local *local = calloc(1, sizeof *local);
    struct car_deflater *deflater = car_deflater_new(DEFLATE_LEVEL);
    if (!local || !deflater) {
        free(local);
        car_deflater_free(&deflater);
        return CAR_ENOMEM;
    }
    local->feed = feed;
    local->wires = (struct car_wire_kit){.deflater = deflater, .named_head = feed->named_head};
    worker->feed = local;
    return 0;
}

void car_feed_detach(struct car_worker *worker) {
    struct car_feed_local *local = worker->feed;
    worker->feed = NULL;
    if (local) {
        car_deflater_free(&local->wires.deflater);
        free(local);
    }
}

uint64_t car_feed_oldest(const struct car_feed *feed, const struct car_tenant *tenant) {
    if (!feed->log->ops->ask) {
        return car_tenant_oldest(tenant, feed->keep);
    }
    /* The log follows a little behind. */
    uint64_t oldest = car_tenant_forgotten(tenant) + 1;
    uint64_t newest = car_tenant_newest(tenant);
    bool over = feed->retain && newest >= oldest && newest - oldest >= feed->retain;
    return over ? newest - feed->retain + 1 : oldest;
}

uint64_t car_feed_seq_of(const struct car_feed *feed, const struct car_tenant *tenant, struct car_span id) {
    struct car_uuid uuid;
    if (car_uuid_read(id, &uuid) != 0) {
        return 0;
    }
    uint64_t seq = car_event_id_seq(&feed->id_key, car_tenant_id(tenant), &uuid);
    return seq <= car_tenant_newest(tenant) ? seq : 0;
}
