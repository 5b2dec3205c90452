#include <stdbool.h>
#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/scan.h"
#include "carillon/proto/http.h"

#include "admission.h"
#include "call.h"
#include "event_array.h"
#include "filter.h"
#include "query.h"
#include "respond.h"

#define LIMIT_DEFAULT 50

/* What is asked for: the events with low < seq < high, in one direction, that pass the filter. */
struct listing {
    struct car_scan scan; /* first */
    struct car_exchange *exchange;
    struct car_filter filter;
    uint64_t low, high, limit;
    bool ascending;
};

static int read_order(struct car_span query, bool *ascending, const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, "order", &text, why);
    if (!err) {
        *ascending = car_span_eq(car_buf_view(&text), CAR_SPAN("asc"));
        if (!*ascending && !car_span_eq(car_buf_view(&text), CAR_SPAN("desc"))) {
            *why = "order is asc or desc";
            err = CAR_EINVAL;
        }
    }
    car_buf_free(&text);
    return err;
}

static int read_query(struct car_call *call, struct listing *l, const char **why) {
    struct car_span query = call->req->query;
    l->limit = LIMIT_DEFAULT;
    l->high = UINT64_MAX;
    int since = car_query_since(call, &l->low, why);
    bool foreign = false;
    l->ascending = since == 0;
    int results[] = {
        since,
        car_query_epoch(call, &foreign, why),
        car_query_u64(query, "limit", 1, CAR_SCAN_EVENTS_MAX, &l->limit, why),
        car_query_u64(query, "before", 0, INT64_MAX, &l->high, why),
        read_order(query, &l->ascending, why),
        car_filter_read(query, &l->filter, why),
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (results[i] && results[i] != CAR_ENOENT) {
            return results[i];
        }
    }
    if (foreign) {
        *why = "epoch is not this log's: its seqs are others";
        return CAR_EINVAL;
    }
    return 0;
}

static void listing_free(struct listing *l) {
    car_scan_free(&l->scan);
    car_filter_free(&l->filter);
    free(l);
}

static void write_answer(struct car_buf *out, const struct car_scan *scan) {
    CAR_BUF_LIT(out, "{\"events\":");
    car_event_array(out, scan);
    CAR_BUF_LIT(out, ",\"has_more\":");
    car_buf_span(out, scan->more ? CAR_SPAN("true") : CAR_SPAN("false"));
    CAR_BUF_LIT(out, ",\"next\":");
    if (scan->more) {
        car_buf_printf(out, "\"%llu\"", (unsigned long long)scan->events[scan->count - 1]->seq);
    } else {
        CAR_BUF_LIT(out, "null");
    }
    CAR_BUF_LIT(out, "}");
}

static void on_found(struct car_scan *scan) {
    struct listing *l = (struct listing *)scan; /* its first member */
    struct car_buf out = CAR_BUF_INIT;
    if (!scan->status) {
        write_answer(&out, scan);
    }
    if (scan->status || out.failed) {
        car_respond_problem(l->exchange, 503, car_event_array_why(scan), NULL, NULL);
    } else {
        struct car_response response = {
            .status = 200,
            .type = CAR_TYPE_JSON,
            .body = car_buf_view(&out),
            .headers = "Cache-Control: no-store\r\n",
            .owner = scan->tenant,
        };
        car_respond(l->exchange, &response);
    }
    car_buf_free(&out);
    listing_free(l);
}

void car_event_list(struct car_call *call) {
    if (car_http_header_accepts(call->req, "Accept", "text/event-stream") &&
        !car_http_header_accepts(call->req, "Accept", "application/json")) {
        car_event_stream(call);
        return;
    }
    if (!car_admission_reads(call)) {
        return;
    }
    struct listing *l = calloc(1, sizeof *l);
    const char *why = "out of memory";
    int err = l ? read_query(call, l, &why) : CAR_ENOMEM;
    if (err) {
        car_respond_problem(call->exchange, err == CAR_EINVAL ? 400 : 503, why, NULL, NULL);
        if (l) {
            listing_free(l);
        }
        return;
    }
    l->exchange = call->exchange;
    l->scan = (struct car_scan){
        .tenant = call->who.tenant,
        .worker = call->worker,
        .first = l->low + 1,
        .last = l->high ? l->high - 1 : 0,
        .limit = (uint32_t)l->limit,
        .descending = !l->ascending,
        .filter = car_filter_is_empty(&l->filter) ? NULL : &l->filter,
        .done = on_found,
    };
    car_scan_start(&l->scan);
}
