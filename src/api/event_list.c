#include <stdbool.h>

#include "carillon/api/api.h"
#include "carillon/base/buf.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"
#include "carillon/proto/http.h"
#include "carillon/runtime/worker.h"

#include "call.h"
#include "filter.h"
#include "query.h"
#include "respond.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000

/* Events are looked at in so large pieces, and an answer ends early once it holds so many bytes. */
#define PIECE     64
#define BYTES_MAX (8u << 20)

/* What is asked for: the events with low < seq < high, in one direction, that pass the filter. */
struct listing {
    uint64_t low, high;
    uint64_t limit;
    bool ascending;
    struct car_filter filter;
    struct car_buf scratch;
    /* the answer */
    struct car_buf out;
    uint64_t count;
    uint64_t last; /* the seq of the last event written */
    bool more;
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
    l->ascending = since == 0;
    int results[] = {
        since,
        car_query_u64(query, "limit", 1, LIMIT_MAX, &l->limit, why),
        car_query_u64(query, "before", 0, INT64_MAX, &l->high, why),
        read_order(query, &l->ascending, why),
        car_filter_read(query, &l->filter, why),
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (results[i] && results[i] != CAR_ENOENT) {
            return results[i];
        }
    }
    return 0;
}

/* Takes the event into the answer. false once the answer is complete. */
static bool take(struct listing *l, const struct car_event *event) {
    if (!car_filter_passes(&l->filter, event, &l->scratch)) {
        return true;
    }
    if (l->count == l->limit || l->out.len > BYTES_MAX) {
        l->more = true;
        return false;
    }
    if (l->count++) {
        car_buf_char(&l->out, ',');
    }
    car_buf_span(&l->out, car_event_json(event));
    l->last = event->seq;
    return true;
}

/* Walks over the events from `first` to `last`, in pieces; within a piece in either direction. */
static void walk(struct listing *l, struct car_tenant *tenant, struct car_reader *reader, uint64_t first,
                 uint64_t last) {
    struct car_event *events[PIECE];
    bool going = true;
    while (going && first <= last) {
        uint64_t from = l->ascending || last - first < PIECE ? first : last - PIECE + 1;
        uint64_t wanted = last - from + 1 < PIECE ? last - from + 1 : PIECE;
        size_t n = car_tenant_read(tenant, reader, from, events, (size_t)wanted);
        for (size_t i = 0; i < n; i++) {
            const struct car_event *event = l->ascending ? events[i] : events[n - 1 - i];
            going = going && (event->seq < first || event->seq > last || take(l, event));
        }
        uint64_t end = n ? events[n - 1]->seq : last;
        for (size_t i = 0; i < n; i++) {
            car_event_unref(&events[i]);
        }
        if (l->ascending) {
            first = end + 1;
        } else if (from == first) {
            going = false;
        } else {
            last = from - 1;
        }
    }
}

static void answer(struct car_call *call, struct listing *l) {
    CAR_BUF_LIT(&l->out, "],\"has_more\":");
    car_buf_span(&l->out, l->more ? CAR_SPAN("true") : CAR_SPAN("false"));
    CAR_BUF_LIT(&l->out, ",\"next\":");
    if (l->more) {
        car_buf_printf(&l->out, "\"%llu\"", (unsigned long long)l->last);
    } else {
        CAR_BUF_LIT(&l->out, "null");
    }
    CAR_BUF_LIT(&l->out, "}");
    if (l->out.failed) {
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
        return;
    }
    struct car_response response = {
        .status = 200,
        .type = CAR_TYPE_JSON,
        .body = car_buf_view(&l->out),
        .headers = "Cache-Control: no-store\r\n",
        .owner = call->who.tenant,
    };
    car_respond(call->exchange, &response);
}

void car_event_list(struct car_call *call) {
    if (car_http_header_accepts(call->req, "Accept", "text/event-stream") &&
        !car_http_header_accepts(call->req, "Accept", "application/json")) {
        car_event_stream(call);
        return;
    }
    struct listing l = {0};
    const char *why = NULL;
    if (read_query(call, &l, &why) != 0) {
        car_respond_problem(call->exchange, 400, why, NULL, NULL);
    } else {
        struct car_tenant *tenant = call->who.tenant;
        uint64_t oldest = car_feed_oldest(call->api->feed, tenant);
        uint64_t newest = car_tenant_newest(tenant);
        uint64_t first = l.low >= oldest ? l.low + 1 : oldest;
        uint64_t last = l.high <= newest ? l.high : newest + 1; /* exclusive */
        CAR_BUF_LIT(&l.out, "{\"events\":[");
        if (last > first) {
            walk(&l, tenant, call->worker->reader, first, last - 1);
        }
        answer(call, &l);
    }
    car_filter_free(&l.filter);
    car_buf_free(&l.scratch);
    car_buf_free(&l.out);
}
