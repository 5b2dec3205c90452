#ifndef CARILLON_NET_WS_CONN_H
#define CARILLON_NET_WS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/net/net_metrics.h"
#include "carillon/proto/ws.h"
#include "carillon/proto/ws_handshake.h"

struct car_blob;
struct car_conn;
struct car_exchange;
struct car_http_request;
struct car_ws;

/* What a WebSocket is for. On its worker. */
struct car_ws_ops {
    /* A whole message; the bytes are scratch until it returns. */
    void (*message)(struct car_ws *ws, enum car_ws_opcode op, char *data, size_t len);
    /* The socket takes more again, after car_ws_is_full. */
    void (*drained)(struct car_ws *ws);
    /* The server goes away: call car_ws_go_away, at once or when what is owed has been sent. NULL: at once. */
    void (*leave)(struct car_ws *ws);
    /* The connection has ended: free what embeds the WebSocket. The last call. */
    void (*ended)(struct car_ws *ws);
    /* Where it is not NULL, what is spoken over the WebSocket has a heartbeat of its own: no pings are sent, and nobody
     * is dropped for silence. Called when the time of car_ws_wake_in is over; once it may be called without that. */
    void (*wake)(struct car_ws *ws);
    enum car_spoken spoken; /* what it counts as */
};

/* A connection that speaks WebSocket (RFC 6455). Embedded by its user. Belongs to the connection's worker. */
struct car_ws {
    struct car_conn *conn;
    const struct car_ws_ops *ops;
    struct car_ws_parser parser;
    uint8_t deflate_bits;   /* the window to compress with; 0 where permessage-deflate was not agreed */
    bool awaiting_pong : 1; /* a ping is out, and nothing has come since */
    bool closing : 1;       /* a close frame has been sent */
};

/* Whether the request is a sound opening handshake (RFC 6455, section 4.2.1). 0, or the status to refuse it with: 426
 * (the answer then says Sec-WebSocket-Version: 13) or 400, and a static reason. */
int car_ws_check(const struct car_http_request *req, const char **why);

/* Accepts the handshake of a request that car_ws_check found sound, and ends the exchange. `ws` is zeroed by the
 * caller. false where the connection has gone or memory ran out: nothing will be called, and the memory is still the
 * caller's. Otherwise the WebSocket can be sent to at once, and what came with the handshake is read when `request`
 * returns. */
bool car_ws_open(struct car_ws *ws, struct car_exchange *exchange, const struct car_http_request *req,
                 const struct car_ws_ops *ops);

/* Bounds messages to `bytes` instead of the server's largest. Before the first of them. */
void car_ws_limit(struct car_ws *ws, size_t bytes);

/* Whose bytes may go out from now on: a tenant that was not known at the handshake. */
void car_ws_belong(struct car_ws *ws, const void *owner);

/* Lets `wake` be called `ms` from now, in place of whatever was set before. */
void car_ws_wake_in(struct car_ws *ws, uint64_t ms);

/* Sends ready frames. false where the connection is ending. */
bool car_ws_send_frames(struct car_ws *ws, struct car_blob *frames);

/* Sends one message whose bytes are `owner`'s; compressed where that was agreed and pays. */
bool car_ws_send(struct car_ws *ws, const void *owner, enum car_ws_opcode op, struct car_span payload);

/* Whether the peer reads too slowly for more; true promises `drained`. */
bool car_ws_is_full(struct car_ws *ws);

/* Whether the socket takes no more for now; and whether it has taken nothing since that was last asked, though
 * something waits for it: a peer that reads on is alive. */
bool car_ws_is_blocked(const struct car_ws *ws);
bool car_ws_is_stuck(struct car_ws *ws);

/* Sends a close frame, and ends the connection when the peer has answered it or had time to. With 1008 it is not waited
 * for: who may not be here is gone within CAR_CONN_DISMISS_MS, or has been told and only has to close its own end. */
void car_ws_close(struct car_ws *ws, unsigned code, const char *reason);

/* As car_ws_close, for a client that shall come back: the reason says after which time, and `why` is 80 bytes at most.
 */
void car_ws_send_away(struct car_ws *ws, unsigned code, const char *why);

/* Its owner has no memory left: throws away what waits, ends the frame that has been begun, and closes with 1013 and
 * the time after which the client shall come back. */
void car_ws_shed(struct car_ws *ws);

/* Bytes of memory that wait for its peer, as they are counted (net.h). */
size_t car_ws_held(const struct car_ws *ws);

/* As car_ws_send_away, with 1001. */
void car_ws_go_away(struct car_ws *ws);

#endif
