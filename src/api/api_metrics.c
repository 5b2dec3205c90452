#include "api_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/guard/rates.h"
#include "carillon/guard/rooms.h"
#include "carillon/net/exchange.h"
#include "carillon/runtime/turn.h"
#include "carillon/runtime/worker.h"

#include "command.h"
#include "refusals.h"
#include "routes.h"

#define AT(field) .offset = offsetof(struct car_api_metrics, field)

#define REFUSED_BY(transport)                                                                                          \
    "transport=\"" transport "\",reason=\"invalid\"", "transport=\"" transport "\",reason=\"unauthorized\"",           \
        "transport=\"" transport "\",reason=\"forbidden\"", "transport=\"" transport "\",reason=\"rate_limited\"",     \
        "transport=\"" transport "\",reason=\"unavailable\""

const struct car_metric car_api_metric_rows[] = {
    {.name = "carillon_publishes_total",
     .help = "Requests and commands to publish, a batch being one, by what has come of them.",
     .kind = CAR_METRIC_COUNTER,
     CAR_METRIC_LABELS("outcome=\"accepted\"", "outcome=\"replayed\"", "outcome=\"conflict\"", "outcome=\"invalid\"",
                       "outcome=\"unauthorized\"", "outcome=\"forbidden\"", "outcome=\"rate_limited\"",
                       "outcome=\"unavailable\""),
     AT(publishes)},
    {.name = "carillon_handshakes_refused_total",
     .help = "WebSockets, event streams, Socket.IO sessions and namespaces that were not let in.",
     .kind = CAR_METRIC_COUNTER,
     CAR_METRIC_LABELS(REFUSED_BY("websocket"), REFUSED_BY("sse"), REFUSED_BY("socketio")),
     AT(refused)},
    {.name = "carillon_limits_hit_total",
     .help = "Times that a limit has refused something.",
     .kind = CAR_METRIC_COUNTER,
     CAR_METRIC_LABELS("limit=\"ip\"", "limit=\"user\"", "limit=\"tenant\"", "limit=\"tenant_bytes\"",
                       "limit=\"tenant_connections\"", "limit=\"ip_connections\"", "limit=\"handshakes\""),
     AT(limits)},
    {.name = "carillon_http_responses_total",
     .help = "Answers to HTTP requests, by the class of their status.",
     .kind = CAR_METRIC_COUNTER,
     CAR_METRIC_LABELS("class=\"1xx\"", "class=\"2xx\"", "class=\"3xx\"", "class=\"4xx\"", "class=\"5xx\""),
     AT(responses)},
    {.name = "carillon_http_request_duration_seconds",
     .help = "From a request's head being read to its answer being written, by what it is for.",
     .kind = CAR_METRIC_HISTOGRAM,
     CAR_METRIC_LABELS("resource=\"other\"", "resource=\"publish\"", "resource=\"batch\"", "resource=\"events\"",
                       "resource=\"websocket\"", "resource=\"stream\"", "resource=\"session\"", "resource=\"socketio\"",
                       "resource=\"tenants\"", "resource=\"status\""),
     AT(durations)},
};
const size_t car_api_metric_count = sizeof car_api_metric_rows / sizeof *car_api_metric_rows;

/* What the requests of a worker share. The worker's thread's. */
struct local {
    struct car_api_metrics *metrics;
    struct car_refusals *refusals;
    struct car_turn_end turn_end;
    uint64_t began_us;             /* of those in `fresh` */
    bool waiting;                  /* there are any */
    uint32_t fresh[CAR_RESOURCES]; /* begun and answered under the same mark: how long that took shows later */
};

static struct local *local_of(const struct car_worker *worker) {
    return worker->api;
}

const struct car_api_metrics *car_api_metrics_of(const struct car_worker *worker) {
    return local_of(worker)->metrics;
}

struct car_refusals *car_refusals_of(const struct car_worker *worker) {
    return local_of(worker)->refusals;
}

static void settle(struct local *local, uint64_t now_us) {
    for (int i = 0; local->waiting && i < CAR_RESOURCES; i++) {
        if (local->fresh[i]) {
            car_histogram_add(&local->metrics->durations[i], now_us - local->began_us, local->fresh[i]);
            local->fresh[i] = 0;
        }
    }
    local->waiting = false;
}

static void on_turn_end(struct car_turn_end *end, uint64_t now_us) {
    settle((struct local *)((char *)end - offsetof(struct local, turn_end)), now_us);
}

int car_api_attach(struct car_worker *worker) {
    struct local *local = calloc(1, sizeof *local);
    struct car_api_metrics *metrics = car_metrics_block(sizeof *metrics);
    struct car_refusals *refusals = calloc(1, sizeof *refusals);
    if (!local || !metrics || !refusals) {
        free(local);
        free(metrics);
        free(refusals);
        return CAR_ENOMEM;
    }
    local->metrics = metrics;
    local->refusals = refusals;
    local->turn_end.run = on_turn_end;
    car_worker_at_turn_end(worker, &local->turn_end);
    worker->api = local;
    return 0;
}

void car_api_detach(struct car_worker *worker) {
    struct local *local = worker->api;
    worker->api = NULL;
    if (local) {
        free(local->metrics);
        free(local->refusals);
        free(local);
    }
}

/* What requests are for. */

static enum car_resource resource_of(car_handler *handler) {
    static const struct {
        car_handler *handler;
        enum car_resource resource;
    } KNOWN[] = {
        {car_event_publish, CAR_RESOURCE_PUBLISH}, {car_event_list, CAR_RESOURCE_EVENTS},
        {car_sio_request, CAR_RESOURCE_SOCKETIO},  {car_live_open, CAR_RESOURCE_WEBSOCKET},
        {car_event_batch, CAR_RESOURCE_BATCH},     {car_event_stream, CAR_RESOURCE_STREAM},
        {car_event_get, CAR_RESOURCE_EVENTS},      {car_event_stats, CAR_RESOURCE_EVENTS},
        {car_health, CAR_RESOURCE_STATUS},         {car_livez, CAR_RESOURCE_STATUS},
        {car_readyz, CAR_RESOURCE_STATUS},         {car_metrics, CAR_RESOURCE_STATUS},
        {car_overview, CAR_RESOURCE_STATUS},       {car_settings, CAR_RESOURCE_STATUS},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        if (KNOWN[i].handler == handler) {
            return KNOWN[i].resource;
        }
    }
    return handler ? CAR_RESOURCE_TENANTS : CAR_RESOURCE_OTHER;
}

enum car_resource car_resource_of(const struct car_route *route, enum car_http_method verb) {
    return resource_of(route ? car_route_handler(route, verb) : NULL);
}

/* Answers. */

static enum car_outcome outcome_of(int status) {
    switch (status) {
    case 401:
        return CAR_OUTCOME_UNAUTHORIZED;
    case 403:
        return CAR_OUTCOME_FORBIDDEN;
    case 429:
        return CAR_OUTCOME_RATE_LIMITED;
    default:
        return status < 400 ? CAR_OUTCOME_ACCEPTED : status < 500 ? CAR_OUTCOME_INVALID : CAR_OUTCOME_UNAVAILABLE;
    }
}

static void count_publish(const struct car_worker *worker, enum car_outcome outcome) {
    car_cell_add(&local_of(worker)->metrics->publishes[outcome - 1], 1);
}

static void count_refused(const struct car_worker *worker, enum car_transport transport, enum car_outcome outcome) {
    car_cell_add(&local_of(worker)->metrics->refused[transport][outcome - CAR_OUTCOME_INVALID], 1);
}

static void count_handshake(const struct car_exchange *exchange, enum car_transport transport, int status) {
    if (status >= 400) {
        count_refused(exchange->worker, transport, outcome_of(status));
    }
}

static void count_duration(struct local *local, const struct car_exchange *exchange) {
    uint64_t now = car_turn_us();
    if (exchange->began_us != now) {
        car_histogram_add(&local->metrics->durations[exchange->resource], now - exchange->began_us, 1);
        return;
    }
    if (local->waiting && local->began_us != now) {
        settle(local, now);
    }
    local->waiting = true;
    local->began_us = now;
    local->fresh[exchange->resource]++;
}

void car_count_answer(const struct car_exchange *exchange, int status) {
    struct local *local = local_of(exchange->worker);
    car_cell_add(&local->metrics->responses[status / 100 - 1], 1);
    count_duration(local, exchange);
    switch (exchange->resource) {
    case CAR_RESOURCE_PUBLISH:
    case CAR_RESOURCE_BATCH:
        count_publish(exchange->worker, exchange->outcome ? exchange->outcome : outcome_of(status));
        break;
    case CAR_RESOURCE_WEBSOCKET:
        count_handshake(exchange, CAR_BY_WEBSOCKET, status);
        break;
    case CAR_RESOURCE_STREAM:
        count_handshake(exchange, CAR_BY_SSE, status);
        break;
    case CAR_RESOURCE_SESSION:
        count_handshake(exchange, CAR_BY_SOCKETIO, status);
        break;
    default:
        break;
    }
}

/* Commands. */

static enum car_outcome outcome_of_code(const char *code) {
    static const struct {
        const char *code;
        enum car_outcome outcome;
    } KNOWN[] = {
        {"unauthorized", CAR_OUTCOME_UNAUTHORIZED}, {"forbidden", CAR_OUTCOME_FORBIDDEN},
        {"rate_limited", CAR_OUTCOME_RATE_LIMITED}, {"unavailable", CAR_OUTCOME_UNAVAILABLE},
        {"internal", CAR_OUTCOME_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        if (strcmp(KNOWN[i].code, code) == 0) {
            return KNOWN[i].outcome;
        }
    }
    return CAR_OUTCOME_INVALID;
}

void car_count_publish(const struct car_worker *worker, const struct car_refusal *refusal) {
    count_publish(worker, refusal ? outcome_of_code(refusal->code) : CAR_OUTCOME_ACCEPTED);
}

void car_count_namespace(const struct car_worker *worker, const struct car_refusal *refusal) {
    count_refused(worker, CAR_BY_SOCKETIO, outcome_of_code(refusal->code));
}

/* Limits. */

static void count_limit(const struct car_worker *worker, enum car_limit limit) {
    car_cell_add(&local_of(worker)->metrics->limits[limit], 1);
}

void car_count_limit(const struct car_worker *worker, const struct car_takings *takings) {
    count_limit(worker, (enum car_limit)takings->which[takings->count - 1]);
}

void car_count_room(const struct car_worker *worker, const char *why) {
    count_limit(worker, why == car_rooms_address_full ? CAR_LIMIT_IP_CONNECTIONS : CAR_LIMIT_TENANT_CONNECTIONS);
}

void car_count_handshakes(const struct car_worker *worker) {
    count_limit(worker, CAR_LIMIT_HANDSHAKES);
}
