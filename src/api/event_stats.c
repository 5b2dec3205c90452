#include <jansson.h>
#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "call.h"
#include "respond.h"

#define PIECE 64

/* A log that is still on its way to the store with what was published is asked once more. */
#define RETRY_MS  20
#define TRIES_MAX 100

/* What an answer says. */
struct tally {
    uint64_t total, first, last;
    int64_t last_ms;
    json_t *by_type;
};

/* Takes over the tally's types. */
static void respond(struct car_exchange *exchange, const struct car_tenant *tenant, const struct tally *tally) {
    char at[CAR_RFC3339_LEN];
    json_t *last_at = NULL;
    if (tally->total) {
        car_rfc3339_write(tally->last_ms, at);
        last_at = json_stringn(at, sizeof at);
    }
    struct car_span id = car_tenant_id(tenant);
    json_t *document =
        json_pack("{s:s%,s:I,s:o,s:I,s:o,s:o,s:I,s:f}", "tenant_id", id.ptr, id.len, "total", (json_int_t)tally->total,
                  "by_type", tally->by_type, "last_seq", (json_int_t)tally->last, "first_seq",
                  tally->total ? json_integer((json_int_t)tally->first) : json_null(), "last_event_at",
                  last_at ? last_at : json_null(), "connections", (json_int_t)car_tenant_connections(tenant), "rate_1m",
                  car_tenant_rate_1m(tenant, car_clock_wall_ms()));
    car_respond_json(exchange, 200, document);
}

/* Of a log that has nothing but what is in memory: a pass over it. */

static void count(struct tally *tally, const struct car_event *event) {
    struct car_span type = car_event_type(event);
    json_int_t before = json_integer_value(json_object_getn(tally->by_type, type.ptr, type.len));
    json_object_setn_new(tally->by_type, type.ptr, type.len, json_integer(before + 1));
    tally->first = tally->total ? tally->first : event->seq;
    tally->last_ms = event->wall_ms;
    tally->total++;
}

static void tally_up(struct tally *tally, struct car_tenant *tenant, struct car_reader *reader, uint64_t oldest) {
    struct car_event *events[PIECE];
    uint64_t seq = oldest;
    size_t n;
    while (seq <= tally->last && (n = car_tenant_read(tenant, reader, seq, events, PIECE)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (events[i]->seq <= tally->last) {
                count(tally, events[i]);
            }
            seq = events[i]->seq + 1;
            car_event_unref(&events[i]);
        }
    }
}

/* Of one that has more: it counts itself, and the newest event says when it was. */

struct stats {
    struct car_log_types types; /* first */
    struct car_scan newest;
    struct car_exchange *exchange;
    struct car_feed_local *feed;
    struct car_timer timer;
    uint64_t wanted; /* the newest seq when it was asked */
    unsigned tries;
};

static void stats_free(struct stats *stats) {
    car_scan_free(&stats->newest);
    free(stats);
}

static void fail(struct stats *stats) {
    car_respond_problem(stats->exchange, 503, "the log cannot be read", NULL, NULL);
    stats_free(stats);
}

static void on_newest(struct car_scan *scan) {
    struct stats *stats = (struct stats *)((char *)scan - offsetof(struct stats, newest));
    const struct car_log_types *types = &stats->types;
    struct tally tally = {
        .last = types->newest, .total = types->newest - types->forgotten, .first = types->forgotten + 1};
    if (scan->status) {
        fail(stats);
        return;
    }
    tally.last_ms = scan->count ? scan->events[0]->wall_ms : 0;
    tally.by_type = json_object();
    for (uint32_t i = 0; i < types->count; i++) {
        json_object_set_new(tally.by_type, types->types[i].type, json_integer((json_int_t)types->types[i].count));
    }
    respond(stats->exchange, types->ask.tenant, &tally);
    stats_free(stats);
}

static void on_types(struct car_log_ask *ask) {
    struct stats *stats = (struct stats *)ask; /* its first member's first member */
    struct car_feed_local *feed = stats->feed;
    if (ask->status) {
        fail(stats);
    } else if (stats->types.newest < stats->wanted && ++stats->tries < TRIES_MAX) {
        car_timer_set(ask->worker->wheel, &stats->timer, RETRY_MS);
        return;
    } else {
        stats->newest = (struct car_scan){.tenant = ask->tenant,
                                          .worker = ask->worker,
                                          .first = stats->types.newest,
                                          .last = stats->types.newest,
                                          .limit = 1,
                                          .done = on_newest};
        car_scan_start(&stats->newest);
    }
    car_feed_publishing(feed, -1);
}

static void on_timer(struct car_timer *timer) {
    struct stats *stats = (struct stats *)((char *)timer - offsetof(struct stats, timer));
    struct car_log *log = stats->feed->feed->log;
    log->ops->ask(log, &stats->types.ask);
}

static void ask_log(struct car_call *call, struct car_log *log) {
    struct stats *stats = calloc(1, sizeof *stats);
    if (!stats) {
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
        return;
    }
    stats->types.ask = (struct car_log_ask){
        .kind = CAR_LOG_TYPES, .tenant = call->who.tenant, .worker = call->worker, .done = on_types};
    stats->exchange = call->exchange;
    stats->feed = car_feed_local(call->worker->feed);
    stats->timer.fire = on_timer;
    stats->wanted = car_tenant_newest(call->who.tenant);
    car_feed_publishing(stats->feed, 1);
    log->ops->ask(log, &stats->types.ask);
}

void car_event_stats(struct car_call *call) {
    struct car_feed *feed = call->api->feed;
    struct car_tenant *tenant = call->who.tenant;
    if (feed->log->ops->ask) {
        ask_log(call, feed->log);
        return;
    }
    struct tally tally = {.last = car_tenant_newest(tenant), .by_type = json_object()};
    tally_up(&tally, tenant, call->worker->reader, car_feed_oldest(feed, tenant));
    respond(call->exchange, tenant, &tally);
}
