#include <jansson.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "call.h"
#include "respond.h"

#define PIECE 64

/* What a pass over the kept events finds. */
struct tally {
    uint64_t total, first, last;
    int64_t last_ms;
    json_t *by_type;
};

static void count(struct tally *tally, const struct car_event *event) {
    struct car_span type = car_event_type(event);
    json_int_t before = json_integer_value(json_object_getn(tally->by_type, type.ptr, type.len));
    json_object_setn_new(tally->by_type, type.ptr, type.len, json_integer(before + 1));
    tally->first = tally->total ? tally->first : event->seq;
    tally->last = event->seq;
    tally->last_ms = event->wall_ms;
    tally->total++;
}

static void tally_up(struct tally *tally, struct car_tenant *tenant, struct car_reader *reader, uint32_t keep) {
    struct car_event *events[PIECE];
    uint64_t newest = car_tenant_newest(tenant);
    uint64_t seq = car_tenant_oldest(tenant, keep);
    size_t n;
    while (seq <= newest && (n = car_tenant_read(tenant, reader, seq, events, PIECE)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (events[i]->seq <= newest) {
                count(tally, events[i]);
            }
            seq = events[i]->seq + 1;
            car_event_unref(&events[i]);
        }
    }
}

void car_event_stats(struct car_call *call) {
    struct car_tenant *tenant = call->who.tenant;
    struct tally tally = {.by_type = json_object()};
    tally_up(&tally, tenant, call->worker->reader, call->api->feed->keep);
    char at[CAR_RFC3339_LEN];
    json_t *last_at = NULL;
    if (tally.total) {
        car_rfc3339_write(tally.last_ms, at);
        last_at = json_stringn(at, sizeof at);
    }
    struct car_span id = car_tenant_id(tenant);
    json_t *document =
        json_pack("{s:s%,s:I,s:o,s:I,s:o,s:o,s:I,s:f}", "tenant_id", id.ptr, id.len, "total", (json_int_t)tally.total,
                  "by_type", tally.by_type, "last_seq", (json_int_t)car_tenant_newest(tenant), "first_seq",
                  tally.total ? json_integer((json_int_t)tally.first) : json_null(), "last_event_at",
                  last_at ? last_at : json_null(), "connections", (json_int_t)car_tenant_connections(tenant), "rate_1m",
                  car_tenant_rate_1m(tenant, car_clock_wall_ms()));
    car_respond_json(call->exchange, 200, document);
}
