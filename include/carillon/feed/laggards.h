#ifndef CARILLON_FEED_LAGGARDS_H
#define CARILLON_FEED_LAGGARDS_H

#include <stdint.h>

#include "carillon/base/address.h"
#include "carillon/feed/feed_metrics.h"

struct car_tenant;
struct car_worker;

#define CAR_LAGGARD_ID_MAX 64

/* A subscriber that reads too slowly. */
struct car_laggard {
    struct car_tenant *tenant;
    enum car_transport transport;
    uint64_t events;                         /* that there are, and that it has not been handed */
    uint64_t bytes;                          /* handed to it, and waiting for its socket */
    int64_t since_ms;                        /* when it fell behind, since 1970; to a second */
    struct car_address client;               /* "::" where nobody knows */
    char request_id[CAR_LAGGARD_ID_MAX + 1]; /* of its handshake; what is longer is cut */
};

/*
 * The worker's subscribers that have been behind for a second or longer, those furthest behind first, at most `max` of
 * them; returns how many there are in `out`, and in *total how many were found. One that joins and is still reading
 * what it asked for is none, unless something waits for it. Looks at all lanes, and at 16384 sessions that are behind,
 * at most. On the worker's thread.
 */
unsigned car_laggards_find(struct car_worker *worker, struct car_laggard *out, unsigned max, unsigned *total);

#endif
