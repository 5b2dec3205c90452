#ifndef CARILLON_NET_SSE_CONN_H
#define CARILLON_NET_SSE_CONN_H

#include <stdbool.h>

#include "carillon/base/span.h"

struct car_blob;
struct car_conn;
struct car_exchange;
struct car_sse;

/* What a stream is for. On its worker. */
struct car_sse_ops {
    /* The socket takes more again, after car_sse_is_full. */
    void (*drained)(struct car_sse *sse);
    /* The server goes away: call car_sse_go_away, at once or when what is owed has been sent. */
    void (*leave)(struct car_sse *sse);
    /* The connection has ended: free what embeds the stream. The last call. */
    void (*ended)(struct car_sse *sse);
};

/* An answer that never ends: text/event-stream (WHATWG HTML, section 9.2). Embedded by its user. Belongs to the
 * connection's worker. */
struct car_sse {
    struct car_conn *conn;
    const struct car_sse_ops *ops;
};

/* Begins the stream as the exchange's answer, and ends the exchange. The body ends with the connection, which suits
 * HTTP/1.0 as well. false where the connection has gone or memory ran out: the memory is still the caller's. */
bool car_sse_open(struct car_sse *sse, struct car_exchange *exchange, const struct car_sse_ops *ops);

/* Sends ready events. false where the connection is ending. */
bool car_sse_send(struct car_sse *sse, struct car_blob *events);

/* Sends a copy of `owner`'s bytes. */
bool car_sse_send_copy(struct car_sse *sse, const void *owner, struct car_span events);

/* Whether the peer reads too slowly for more; true promises `drained`. */
bool car_sse_is_full(struct car_sse *sse);

/* Ends the stream after what was sent; the browser comes back by itself. */
void car_sse_finish(struct car_sse *sse);

/* The same for who may not be here any more: it is not waited for longer than CAR_CONN_DISMISS_MS. */
void car_sse_dismiss(struct car_sse *sse);

/* The same, and tells the client after which time to come back. */
void car_sse_go_away(struct car_sse *sse);

/* Its owner has no memory left: throws away what waits, ends the event that has been begun, and goes away. */
void car_sse_shed(struct car_sse *sse);

/* Bytes of memory that wait for its peer, as they are counted (net.h). */
size_t car_sse_held(const struct car_sse *sse);

#endif
