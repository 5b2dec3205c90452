#ifndef CARILLON_FEED_FEED_METRICS_H
#define CARILLON_FEED_FEED_METRICS_H

#include "carillon/base/metrics.h"
#include "carillon/feed/wire.h"

/* By what a subscriber is reached. */
enum car_transport { CAR_BY_WEBSOCKET, CAR_BY_SSE, CAR_BY_SOCKETIO, CAR_TRANSPORTS };

#define CAR_TRANSPORT_LABELS CAR_METRIC_LABELS("transport=\"websocket\"", "transport=\"sse\"", "transport=\"socketio\"")

static inline enum car_transport car_wire_transport(enum car_wire wire) {
    return wire < CAR_WIRE_SSE ? CAR_BY_WEBSOCKET : wire == CAR_WIRE_SSE ? CAR_BY_SSE : CAR_BY_SOCKETIO;
}

/* What a drainer counts, on a worker or on the log's thread: /metrics tells the sum. */
struct car_drain_metrics {
    car_cell history; /* bytes in histories; of one block alone it may be below zero */
    car_cell trimmed; /* events that have gone from there because memory was short */
};

/* What a worker's lanes, sessions and publishers count: a block (base/metrics.h). */
struct car_feed_metrics {
    car_cell delivered[CAR_TRANSPORTS], delivered_bytes[CAR_TRANSPORTS];
    car_cell published, published_bytes;
    car_cell slow[CAR_TRANSPORTS], too_slow[CAR_TRANSPORTS], caught_up[CAR_TRANSPORTS], gaps[CAR_TRANSPORTS];
    car_cell shed[CAR_TRANSPORTS], memory_refused;
    car_cell refused; /* subscribers, because memory was short */
    car_cell overflows;
    /* Now: bytes whose publishers wait, that sockets have not taken, of messages that are not whole; sessions. */
    car_cell queued, unsent, unwhole, subscribers;
    struct car_drain_metrics drain;
    struct car_histogram fanout, latency;
};

extern const struct car_metric car_feed_metric_rows[];
extern const size_t car_feed_metric_count;

/* What a log's thread counts: a block. */
struct car_log_metrics {
    car_cell transactions, events, failures;
    struct car_drain_metrics drain;
    struct car_histogram commit;
};

extern const struct car_metric car_log_metric_rows[];
extern const size_t car_log_metric_count;

#endif
