#include "carillon/net/net_metrics.h"

const struct car_metric car_net_metric_rows[] = {
    {.name = "carillon_connections",
     .help = "Open connections, by what they speak; a Socket.IO client that polls speaks HTTP.",
     .kind = CAR_METRIC_GAUGE,
     CAR_METRIC_LABELS("transport=\"http\"", "transport=\"websocket\"", "transport=\"sse\"", "transport=\"socketio\""),
     .offset = offsetof(struct car_net_metrics, open)},
    {.name = "carillon_connections_accepted_total",
     .help = "Connections that a worker was given.",
     .kind = CAR_METRIC_COUNTER,
     .offset = offsetof(struct car_net_metrics, accepted)},
    {.name = "carillon_memory_shed_connections_total",
     .help = "Connections sent away, because their tenant's memory was short, for a message that was not whole or an "
             "answer "
             "that was not read.",
     .kind = CAR_METRIC_COUNTER,
     .offset = offsetof(struct car_net_metrics, shed)},
};
const size_t car_net_metric_count = sizeof car_net_metric_rows / sizeof *car_net_metric_rows;
