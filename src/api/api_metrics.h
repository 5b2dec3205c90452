#ifndef CARILLON_API_API_METRICS_H
#define CARILLON_API_API_METRICS_H

#include "carillon/base/metrics.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/proto/http.h"

struct car_exchange;
struct car_refusal;
struct car_route;
struct car_takings;
struct car_worker;

/* What requests are for. A bounded set: no path of a client's becomes a label. */
enum car_resource {
    CAR_RESOURCE_OTHER, /* files, and what is not there */
    CAR_RESOURCE_PUBLISH,
    CAR_RESOURCE_BATCH,
    CAR_RESOURCE_EVENTS, /* lists, one event, stats */
    CAR_RESOURCE_WEBSOCKET,
    CAR_RESOURCE_STREAM,
    CAR_RESOURCE_SESSION,  /* the first request of a Socket.IO session */
    CAR_RESOURCE_SOCKETIO, /* the others: a poll takes as long as nothing happens */
    CAR_RESOURCE_TENANTS,
    CAR_RESOURCE_STATUS, /* health and metrics */
    CAR_RESOURCES,
};

/* What has come of a publish, or of a handshake. The contract's error codes, in groups. */
enum car_outcome {
    CAR_OUTCOME_BY_STATUS, /* is none: the answer's status says it */
    CAR_OUTCOME_ACCEPTED,
    CAR_OUTCOME_REPLAYED, /* the answer to a repeat */
    CAR_OUTCOME_CONFLICT, /* the key of another publish */
    CAR_OUTCOME_INVALID,  /* malformed, against a rule, or too large */
    CAR_OUTCOME_UNAUTHORIZED,
    CAR_OUTCOME_FORBIDDEN,
    CAR_OUTCOME_RATE_LIMITED,
    CAR_OUTCOME_UNAVAILABLE, /* the queue is full, the store takes nothing, the server goes away */
    CAR_OUTCOMES,
};

/* Which limit has refused something; the first are enum car_rate_which. */
enum car_limit {
    CAR_LIMIT_IP,
    CAR_LIMIT_USER,
    CAR_LIMIT_TENANT,
    CAR_LIMIT_TENANT_BYTES,
    CAR_LIMIT_TENANT_CONNECTIONS,
    CAR_LIMIT_IP_CONNECTIONS,
    CAR_LIMIT_HANDSHAKES, /* --handshake-rate */
    CAR_LIMITS,
};

/* What a worker's requests and commands count: a block (base/metrics.h). */
struct car_api_metrics {
    car_cell publishes[CAR_OUTCOMES - 1];
    car_cell refused[CAR_TRANSPORTS][CAR_OUTCOMES - CAR_OUTCOME_INVALID]; /* handshakes */
    car_cell limits[CAR_LIMITS];
    car_cell responses[5]; /* 1xx to 5xx */
    struct car_histogram durations[CAR_RESOURCES];
};

extern const struct car_metric car_api_metric_rows[];
extern const size_t car_api_metric_count;

const struct car_api_metrics *car_api_metrics_of(const struct car_worker *worker);

/* What a request of that route is for; NULL is none. */
enum car_resource car_resource_of(const struct car_route *route, enum car_http_method verb);

/* All on the worker's thread. */

void car_count_answer(const struct car_exchange *exchange, int status);

/* A command to publish was refused, or, where that is NULL, accepted. */
void car_count_publish(const struct car_worker *worker, const struct car_refusal *refusal);

/* A namespace of Socket.IO was refused. */
void car_count_namespace(const struct car_worker *worker, const struct car_refusal *refusal);

/* A limit refuses. */
void car_count_limit(const struct car_worker *worker, const struct car_takings *takings);
void car_count_room(const struct car_worker *worker, const char *why);
void car_count_handshakes(const struct car_worker *worker);

#endif
