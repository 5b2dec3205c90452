#include <jansson.h>
#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/log.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "admission.h"
#include "call.h"
#include "respond.h"
#include "tally.h"

/* Events that are counted in one go, before others have their turn: some 25 µs of work; and what one costs. */
#define SLICE_EVENTS 256u
#define EVENT_COST   128u

/* A log that is still on its way to the store with what was published is asked once more. */
#define RETRY_MS  20
#define TRIES_MAX 100

/* Takes over the tally's types. */
static void respond(struct car_exchange *exchange, const struct car_tenant *tenant, const struct car_tally *tally) {
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

/* Of a log that has nothing but what is in memory: a pass over it, in turns of the tenant's flow. Until it is answered
 * it counts as a publish, so that the worker does not end before. */

struct counting {
    struct car_task task; /* first */
    struct car_tally tally;
    struct car_exchange *exchange;
    struct car_tenant *tenant;
};

static void go_on(struct car_task *task) {
    struct counting *counting = (struct counting *)task; /* its first member */
    struct car_worker *worker = counting->exchange->worker;
    struct car_feed_local *local = car_feed_local(worker->feed);
    struct car_flow *flow = car_flow_of(counting->tenant, worker);
    car_flow_charge(&worker->tasks, flow, (uint64_t)SLICE_EVENTS * EVENT_COST);
    if (!car_tally_some(&counting->tally, local->feed, counting->tenant, worker->reader, SLICE_EVENTS)) {
        car_flow_defer(&worker->tasks, flow, task);
        return;
    }
    respond(counting->exchange, counting->tenant, &counting->tally);
    free(counting);
    car_feed_publishing(local, -1);
}

static void count_in_turns(struct car_call *call, struct car_feed *feed) {
    struct counting *counting = calloc(1, sizeof *counting);
    if (!counting) {
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
        return;
    }
    counting->task.run = go_on;
    counting->exchange = call->exchange;
    counting->tenant = call->who.tenant;
    car_tally_begin(&counting->tally, feed, counting->tenant);
    car_feed_publishing(car_feed_local(call->worker->feed), 1);
    go_on(&counting->task);
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
    struct car_tally tally = {
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
    if (!car_admission_reads(call)) {
        return;
    }
    if (feed->log->ops->ask) {
        ask_log(call, feed->log);
    } else {
        count_in_turns(call, feed);
    }
}
