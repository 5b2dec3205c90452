#ifndef CARILLON_FEED_TRAFFIC_H
#define CARILLON_FEED_TRAFFIC_H

#include <stdint.h>

struct car_feed;
struct car_reader;
struct car_tenant;

/* What a tenant has published and what its subscribers were handed since the process began: events, bytes of their
 * JSON, and bytes on the wire. */
struct car_traffic {
    uint64_t published, published_bytes;
    uint64_t delivered, delivered_bytes;
};

/* As of some moment during the call. What a lane has delivered that is just being given up (lane.h) may be missing, and
 * is there the next time; nothing is ever there twice. Any thread with a reader. */
struct car_traffic car_tenant_traffic(const struct car_feed *feed, struct car_tenant *tenant,
                                      struct car_reader *reader);

#endif
