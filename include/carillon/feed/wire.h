#ifndef CARILLON_FEED_WIRE_H
#define CARILLON_FEED_WIRE_H

#include <stddef.h>

struct car_blob;
struct car_deflater;
struct car_event;

/* The forms in which events reach a socket. */
enum car_wire {
    CAR_WIRE_WS,         /* WebSocket text frames: {"type":"event_created","event":…} */
    CAR_WIRE_WS_DEFLATE, /* the same, compressed where that pays (RFC 7692), with a window of 15 bits */
    CAR_WIRE_SSE,        /* Server-Sent Events */
    CAR_WIRES,
};

/* How many of the events one blob should hold: as many as fit into `bytes` of JSON, at least one. */
size_t car_wire_cut(struct car_event *const *events, size_t count, size_t bytes);

/* The frames of `count` sealed events of one tenant, one after the other, tagged with that tenant. NULL where memory
 * ran out. The deflater is the calling thread's. */
struct car_blob *car_wire_events(enum car_wire wire, struct car_event *const *events, size_t count,
                                 struct car_deflater *deflater);

#endif
