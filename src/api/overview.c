#include <jansson.h>
#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/registry.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#include "call.h"
#include "process.h"
#include "query.h"
#include "ranking.h"
#include "respond.h"
#include "survey.h"

/* For the administrator, at a glance: how the process does, and its tenants, who publishes most, who reads too slowly,
 * and who was refused. It asks all workers, and answers when the last of them has. */

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000
#define TALKERS       10
#define REFUSALS_MAX  100

/* What a query asks for. */
struct asked {
    uint64_t limit;
    enum car_ranking_by by;
    bool up;
    char filter[CAR_TENANT_NAME_MAX + 1]; /* empty: all */
};

struct overview {
    struct car_exchange *exchange;
    const struct car_api *api;
    struct asked asked;
};

/* Reading. */

static int read_sort(struct car_span query, struct asked *asked, const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, "sort", &text, why);
    if (!err && !car_ranking_by_name(car_buf_view(&text), &asked->by)) {
        *why = "sort is traffic, rate, connections, events, memory, refused or id";
        err = CAR_EINVAL;
    }
    car_buf_free(&text);
    return err;
}

static int read_order(struct car_span query, struct asked *asked, const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, "order", &text, why);
    bool up = car_span_eq(car_buf_view(&text), CAR_SPAN("asc"));
    if (!err && !up && !car_span_eq(car_buf_view(&text), CAR_SPAN("desc"))) {
        *why = "order is asc or desc";
        err = CAR_EINVAL;
    }
    asked->up = (asked->by == CAR_BY_ID) != up;
    asked->up = err ? false : asked->up;
    car_buf_free(&text);
    return err;
}

static int read_filter(struct car_span query, struct asked *asked, const char **why) {
    struct car_buf text = CAR_BUF_INIT;
    int err = car_query_text(query, "q", &text, why);
    if (!err && text.len && !car_tenant_name_ok(car_buf_view(&text))) {
        *why = "q is up to 128 bytes of text";
        err = CAR_EINVAL;
    }
    if (!err && text.len) {
        memcpy(asked->filter, text.data, text.len);
    }
    car_buf_free(&text);
    return err;
}

static int read_query(struct car_span query, struct asked *asked, const char **why) {
    *asked = (struct asked){.limit = LIMIT_DEFAULT};
    int (*const PARTS[])(struct car_span, struct asked *, const char **) = {read_sort, read_order, read_filter};
    int err = car_query_u64(query, "limit", 1, LIMIT_MAX, &asked->limit, why);
    for (size_t i = 0; err != CAR_EINVAL && i < sizeof PARTS / sizeof *PARTS; i++) {
        err = PARTS[i](query, asked, why);
    }
    return err == CAR_EINVAL ? err : 0;
}

/* What workers and the process count. */

static json_t *totals_of(const struct car_api *api, const struct car_ranking *ranking,
                         const struct car_survey *survey) {
    uint64_t published = 0;
    uint64_t published_bytes = 0;
    uint64_t delivered = 0;
    uint64_t delivered_bytes = 0;
    uint64_t refused = 0;
    unsigned sockets = 0;
    for (unsigned i = 0; i < api->feed->worker_count; i++) {
        const struct car_feed_metrics *metrics = car_feed_local(api->feed->workers[i]->feed)->metrics;
        published += car_cell_get(&metrics->published);
        published_bytes += car_cell_get(&metrics->published_bytes);
        for (int by = 0; by < CAR_TRANSPORTS; by++) {
            delivered += car_cell_get(&metrics->delivered[by]);
            delivered_bytes += car_cell_get(&metrics->delivered_bytes[by]);
        }
        sockets += atomic_load_explicit(&api->feed->workers[i]->connections, memory_order_relaxed);
        refused += survey->parts[i].refused_total;
    }
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "tenants", (json_int_t)ranking->count, "connections",
                     (json_int_t)ranking->connections, "sockets", (json_int_t)sockets, "published",
                     (json_int_t)published, "published_bytes", (json_int_t)published_bytes, "delivered",
                     (json_int_t)delivered, "delivered_bytes", (json_int_t)delivered_bytes, "refused",
                     (json_int_t)refused, "memory", (json_int_t)car_process_resident(), "memory_budget",
                     (json_int_t)api->config->max_memory);
}

static json_t *time_of(int64_t wall_ms) {
    char at[CAR_RFC3339_LEN];
    car_rfc3339_write(wall_ms, at);
    return json_stringn(at, sizeof at);
}

/* A text, or null where it is empty. */
static json_t *text_of(const char *text) {
    return text[0] ? json_string(text) : json_null();
}

/* Slow readers. */

static json_t *laggard_json(const struct car_laggard *laggard) {
    static const char *const TRANSPORTS[] = {
        [CAR_BY_WEBSOCKET] = "websocket", [CAR_BY_SSE] = "sse", [CAR_BY_SOCKETIO] = "socketio"};
    static const struct car_address nobody = {0};
    struct car_span id = car_tenant_id(laggard->tenant);
    char address[CAR_ADDRESS_TEXT] = "";
    if (!car_address_eq(&laggard->client, &nobody)) {
        (void)car_address_write(&laggard->client, address);
    }
    return json_pack("{s:s%,s:s,s:I,s:I,s:o,s:o,s:s}", "tenant_id", id.ptr, id.len, "transport",
                     TRANSPORTS[laggard->transport], "events_behind", (json_int_t)laggard->events, "bytes_waiting",
                     (json_int_t)laggard->bytes, "since", time_of(laggard->since_ms), "address", text_of(address),
                     "request_id", laggard->request_id);
}

/* Takes, of all workers' lists, which are in order, the first ones; `before` says which of two heads goes first. */
static json_t *merge(const struct car_survey *survey, size_t max, unsigned (*count)(const struct car_survey_part *),
                     bool (*before)(const struct car_survey_part *a, unsigned i, const struct car_survey_part *b,
                                    unsigned j),
                     json_t *(*to_json)(const struct car_survey_part *part, unsigned i)) {
    json_t *list = json_array();
    unsigned *at = calloc(survey->count + 1, sizeof *at);
    for (size_t n = 0; at && list && n < max; n++) {
        unsigned best = survey->count;
        for (unsigned i = 0; i < survey->count; i++) {
            const struct car_survey_part *part = &survey->parts[i];
            bool has = at[i] < count(part);
            best = has && (best == survey->count || before(part, at[i], &survey->parts[best], at[best])) ? i : best;
        }
        if (best == survey->count) {
            break;
        }
        json_array_append_new(list, to_json(&survey->parts[best], at[best]));
        at[best]++;
    }
    free(at);
    return list;
}

static unsigned laggards_in(const struct car_survey_part *part) {
    return part->laggard_count;
}

static bool slower(const struct car_survey_part *a, unsigned i, const struct car_survey_part *b, unsigned j) {
    return a->laggards[i].events > b->laggards[j].events;
}

static json_t *laggard_at(const struct car_survey_part *part, unsigned i) {
    return laggard_json(&part->laggards[i]);
}

/* Refusals. */

static unsigned refused_in(const struct car_survey_part *part) {
    return part->refused_count;
}

static bool later(const struct car_survey_part *a, unsigned i, const struct car_survey_part *b, unsigned j) {
    return a->refused[i].at_ms > b->refused[j].at_ms;
}

static json_t *refused_at(const struct car_survey_part *part, unsigned i) {
    const struct car_refused *refused = &part->refused[i];
    return json_pack("{s:o,s:i,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:s}", "at", time_of(refused->at_ms), "status",
                     refused->status, "code", car_problem_code(refused->status), "reason", refused->reason, "act",
                     refused->act, "method", text_of(refused->method), "path", text_of(refused->path), "tenant_id",
                     text_of(refused->tenant), "address", text_of(refused->client), "request_id", refused->request_id);
}

/* Answering. */

static json_t *document_of(const struct overview *overview, struct car_worker *worker, struct car_ranking *ranking,
                           const struct car_survey *survey) {
    const struct asked *asked = &overview->asked;
    json_int_t slow = 0;
    for (unsigned i = 0; i < survey->count; i++) {
        slow += survey->parts[i].laggard_total;
    }
    json_t *totals = totals_of(overview->api, ranking, survey);
    car_ranking_sort(ranking, CAR_BY_RATE, false);
    json_t *talkers = car_ranking_json(ranking, worker, TALKERS);
    if (asked->filter[0]) {
        car_ranking_filter(ranking, worker, asked->filter);
    }
    car_ranking_sort(ranking, asked->by, asked->up);
    double uptime = (double)(car_clock_mono_us() - overview->api->started_us) / 1e6;
    return json_pack("{s:o,s:f,s:s,s:o,s:I,s:o,s:o,s:I,s:o,s:o}", "at", time_of(car_clock_wall_ms()), "uptime", uptime,
                     "version", overview->api->version, "totals", totals, "matched", (json_int_t)ranking->count,
                     "tenants", car_ranking_json(ranking, worker, asked->limit), "talkers", talkers, "slow", slow,
                     "slow_readers", merge(survey, CAR_SURVEY_LAGGARDS, laggards_in, slower, laggard_at), "refusals",
                     merge(survey, REFUSALS_MAX, refused_in, later, refused_at));
}

static void on_surveyed(struct car_survey *survey) {
    struct overview *overview = survey->user;
    struct car_ranking ranking;
    if (car_ranking_make(&ranking, overview->api, survey->asker) == 0) {
        car_respond_json(overview->exchange, 200, document_of(overview, survey->asker, &ranking, survey));
        car_ranking_free(&ranking);
    } else {
        car_respond_problem(overview->exchange, 503, "out of memory", NULL, NULL);
    }
    car_survey_free(survey);
    free(overview);
}

void car_overview(struct car_call *call) {
    struct asked asked;
    const char *why = NULL;
    if (read_query(call->req->query, &asked, &why) != 0) {
        car_respond_problem(call->exchange, 400, why, NULL, NULL);
        return;
    }
    struct overview *overview = malloc(sizeof *overview);
    if (overview) {
        *overview = (struct overview){.exchange = call->exchange, .api = call->api, .asked = asked};
    }
    if (!overview || !car_survey_start(call->api->feed, call->worker, on_surveyed, overview)) {
        free(overview);
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
    }
}
