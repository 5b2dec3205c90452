#include "carillon/api/api.h"
#include "carillon/base/block.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/tenant.h"

#include "admission.h"
#include "call.h"
#include "respond.h"

/* A request that waits for its event to be found. */
struct getting {
    struct car_scan scan; /* first */
    struct car_exchange *exchange;
    char id[CAR_UUID_TEXT];
};

static void respond(struct car_exchange *exchange, const struct car_event *event) {
    struct car_response response = {
        .status = 200,
        .type = CAR_TYPE_JSON,
        .body = car_event_json(event),
        .headers = "Cache-Control: no-store\r\n",
        .owner = event->tenant,
    };
    car_respond(exchange, &response);
}

static void on_found(struct car_scan *scan) {
    struct getting *g = (struct getting *)scan; /* its first member */
    struct car_span wanted = car_span_of(g->id, sizeof g->id);
    if (scan->status) {
        car_respond_problem(g->exchange, 503, "the log cannot be read", NULL, NULL);
    } else if (scan->count == 0 || !car_span_ieq(car_event_id(scan->events[0]), wanted)) {
        car_respond_problem(g->exchange, 404, "there is no such event", NULL, NULL);
    } else {
        respond(g->exchange, scan->events[0]);
    }
    car_scan_free(scan);
    car_block_free(g, sizeof *g);
}

void car_event_get(struct car_call *call) {
    if (!car_admission_reads(call)) {
        return;
    }
    uint64_t seq = car_feed_seq_of(call->api->feed, call->who.tenant, call->id);
    if (seq == 0) {
        car_respond_problem(call->exchange, 404, "there is no such event", NULL, NULL);
        return;
    }
    struct getting *g = car_block_new(sizeof *g);
    if (!g) {
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
        return;
    }
    *g = (struct getting){
        .scan = {.tenant = call->who.tenant,
                 .worker = call->worker,
                 .first = seq,
                 .last = seq,
                 .limit = 1,
                 .done = on_found},
        .exchange = call->exchange,
    };
    memcpy(g->id, call->id.ptr, sizeof g->id);
    car_scan_start(&g->scan);
}
