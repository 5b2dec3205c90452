#ifndef CARILLON_NET_NET_METRICS_H
#define CARILLON_NET_NET_METRICS_H

#include "carillon/base/metrics.h"

/* What a connection speaks; it begins with HTTP. */
enum car_spoken { CAR_SPEAKS_HTTP, CAR_SPEAKS_WEBSOCKET, CAR_SPEAKS_SSE, CAR_SPEAKS_SOCKETIO, CAR_SPOKEN };

/* What a worker's connections count: a block (base/metrics.h). */
struct car_net_metrics {
    car_cell open[CAR_SPOKEN];
    car_cell accepted;
    car_cell shed;    /* hoards (hoard.h) */
    car_cell refused; /* connections, while memory was short; with the listener's in one family (net.h) */
};

extern const struct car_metric car_net_metric_rows[];
extern const size_t car_net_metric_count;

/* A connection goes over to another protocol, or back to HTTP before it ends. On its worker. */
static inline void car_net_speaks(struct car_net_metrics *metrics, enum car_spoken before, enum car_spoken now) {
    car_cell_add(&metrics->open[before], UINT64_MAX);
    car_cell_add(&metrics->open[now], 1);
}

#endif
