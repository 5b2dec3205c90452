#ifndef CARILLON_FEED_WIRE_H
#define CARILLON_FEED_WIRE_H

#include <stddef.h>

#include "carillon/base/span.h"

struct car_blob;
struct car_buf;
struct car_deflater;
struct car_event;

/* The forms in which events reach a socket. Socket.IO has two namespaces, and each of them three forms, in this order.
 */
enum car_wire {
    CAR_WIRE_WS,         /* WebSocket text frames: {"type":"event_created","event":…} */
    CAR_WIRE_WS_DEFLATE, /* the same, compressed where that pays (RFC 7692), with a window of 15 bits */
    CAR_WIRE_SSE,        /* Server-Sent Events */
    CAR_WIRE_SIO_ROOT, /* Socket.IO, namespace "/": 42["event_created",…,"SEQ"], as packets of a long-polling payload */
    CAR_WIRE_SIO_ROOT_WS,
    CAR_WIRE_SIO_ROOT_WS_DEFLATE,
    CAR_WIRE_SIO_NAMED, /* the same for the namespace that has a name: 42/NAME,["event_created",…,"SEQ"] */
    CAR_WIRE_SIO_NAMED_WS,
    CAR_WIRE_SIO_NAMED_WS_DEFLATE,
    CAR_WIRES,
};

/* What encoding takes. Belongs to one thread. */
struct car_wire_kit {
    struct car_deflater *deflater;
    struct car_span named_head; /* car_wire_named_head; borrowed */
};

/* Appends what stands before an event in the namespace of that name. */
void car_wire_named_head(struct car_buf *out, struct car_span nsp);

/* How many of the events one blob should hold: as many as fit into `bytes` of JSON, at least one. */
size_t car_wire_cut(struct car_event *const *events, size_t count, size_t bytes);

/* The frames of `count` sealed events of one tenant, one after the other, tagged with that tenant. NULL where memory
 * ran out. */
struct car_blob *car_wire_events(enum car_wire wire, struct car_event *const *events, size_t count,
                                 const struct car_wire_kit *kit);

#endif
