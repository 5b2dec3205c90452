#ifndef CARILLON_NET_EIO_STATE_H
#define CARILLON_NET_EIO_STATE_H

#include "carillon/base/buf.h"
#include "carillon/net/eio_conn.h"
#include "carillon/net/net.h"
#include "carillon/net/ws_conn.h"
#include "carillon/proto/engineio.h"

/* What the parts of an Engine.IO session share: its life (eio_conn.c), and its two transports (eio_polling.c,
 * eio_ws.c). */

/* A session while it is on long-polling. What the peer is owed is not kept here: who sends much asks car_eio_is_full,
 * which says yes while no poll waits. */
struct car_eio_polling {
    struct car_exchange *poll; /* waits for something to be sent */
    struct car_exchange *post; /* its payload is on its way, or, once `reading`, has not been read to its end */
    bool reading;              /* `rest` is left of a payload; its POST may have gone by now */
    struct car_buf out;        /* packets for the next answer */
    struct car_buf rest;
    struct car_held held; /* of `out` */
};

/* A WebSocket of a session: its transport, or a probe. Lives until its connection has ended. */
struct car_eio_ws {
    struct car_ws ws;    /* first: the connection's handlers get it */
    struct car_eio *eio; /* NULL once it is no longer the session's */
    bool probed;         /* as a probe: it has been answered */
};

/* Why a session ends, for those who are told. */
enum car_eio_ending {
    CAR_EIO_BY_US,   /* a waiting poll gets a close packet */
    CAR_EIO_BY_PEER, /* it has said so itself: a waiting poll gets a noop */
};

/* Begins the life of a session that `open` has made, in the worker's table. 0 or CAR_ENOMEM. */
int car_eio_begin(struct car_eio *eio, const struct car_eio_server *server, struct car_worker *worker);

/* Appends its open packet. */
void car_eio_write_open(const struct car_eio *eio, struct car_buf *out);

/* Whether the peer has been silent for longer than it may: then the session has ended with this. Who hears from it asks
 * first, for timers are not that precise. */
bool car_eio_is_late(struct car_eio *eio);

/* Ends the session now: it is found no longer, what waits for its transport still goes out. `ended` comes at the end of
 * the turn. Harmless when repeated. */
void car_eio_end(struct car_eio *eio, enum car_eio_ending by, unsigned code, const char *why);

/* Has the session look at the end of the turn at what is to be done. */
void car_eio_touch(struct car_eio *eio);

/* Has the session take its leave; false where it has been asked before, or is ending. */
bool car_eio_leave(struct car_eio *eio);

/* One packet has come, over whichever transport. */
void car_eio_take(struct car_eio *eio, const struct car_engineio_packet *packet);

/* Whether bytes of `owner` may be sent; where not, the session ends. */
bool car_eio_may_send(struct car_eio *eio, const void *owner);

/* Long-polling. */

/* 0 or CAR_ENOMEM. */
int car_eio_polling_open(struct car_eio *eio);
void car_eio_polling_free(struct car_eio *eio);
void car_eio_poll(struct car_eio *eio, struct car_exchange *exchange);

/* A POST has begun: until it is answered, or car_eio_polling_forget, another one ends the session. */
void car_eio_post_begins(struct car_eio *eio, struct car_exchange *exchange);

/* Forgets of a POST that its payload is on its way: it is whole, or of no use any more. */
void car_eio_polling_forget(struct car_eio *eio);

/* A POST is whole. */
void car_eio_post(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req);

/* Appends a text packet, or a binary message, to the next answer. */
void car_eio_polling_add(struct car_eio *eio, struct car_span packet, bool binary);

/* Answers the waiting poll with what there is, `last` at its end where that is not absent. */
void car_eio_polling_answer(struct car_eio *eio, struct car_span last);

/* Reads on in a payload, and answers its POST at the end. */
void car_eio_polling_read_on(struct car_eio *eio);

/* What to do at the end of a turn. */
void car_eio_polling_turn(struct car_eio *eio);

/* WebSocket. */

/* Opens the handshake's WebSocket: as the transport of a new session, or as a probe of one that is on long-polling.
 * Ends the exchange. false where nothing came of it. */
bool car_eio_ws_open(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req,
                     bool probe);

/* Opens a WebSocket that a session has no use for, and closes it: clients of browsers cannot read a refusal. */
void car_eio_ws_turn_away(struct car_exchange *exchange, const struct car_http_request *req);

bool car_eio_ws_send(struct car_eio_ws *w, const void *owner, struct car_span packet, bool binary);

/* Lets go of a WebSocket, which closes. Nulls the pointer. */
void car_eio_ws_leave(struct car_eio_ws **w, unsigned code, const char *why);

#endif
