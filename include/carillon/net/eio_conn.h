#ifndef CARILLON_NET_EIO_CONN_H
#define CARILLON_NET_EIO_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/runtime/task.h"
#include "carillon/runtime/timer.h"

struct car_blob;
struct car_eio;
struct car_eio_polling;
struct car_eio_ws;
struct car_exchange;
struct car_hoard;
struct car_http_request;
struct car_worker;

/* How a session reaches its peer at the moment: which form car_eio_send_ready wants. */
enum car_eio_form {
    CAR_EIO_PAYLOAD,  /* HTTP long-polling: packets with a separator between two */
    CAR_EIO_FRAMES,   /* WebSocket: text frames */
    CAR_EIO_DEFLATED, /* WebSocket: text frames, compressed where that pays, with a window of 15 bits */
};

/* What a session is for. On its worker. None of them may be called back into from within itself. */
struct car_eio_ops {
    /* A whole message; the bytes live until it returns. */
    void (*message)(struct car_eio *eio, bool binary, struct car_span data);
    /* The peer takes more again, after car_eio_is_full; the form may have changed since. */
    void (*drained)(struct car_eio *eio);
    /* The form has changed, from CAR_EIO_PAYLOAD to another. */
    void (*upgraded)(struct car_eio *eio);
    /* The server goes away: call car_eio_go_away, at once or when what is owed has been sent. */
    void (*leave)(struct car_eio *eio);
    /* Bytes that it keeps of messages for longer than a turn; car_eio_weigh says that they may have changed. NULL:
     * none. It keeps them until `ended` at most. */
    size_t (*kept)(const struct car_eio *eio);
    /* The session has ended: free what embeds it. The last call. */
    void (*ended)(struct car_eio *eio);
};

/* What speaks Engine.IO at a path. Never changes while workers run. */
struct car_eio_server {
    const struct car_eio_ops *ops;
    /* A zeroed session for a handshake that is sound, embedded in what it is for; NULL where it was refused, and the
     * exchange answered (car_eio_unavailable where memory ran out). The request lives for the call. */
    struct car_eio *(*open)(void *app, struct car_exchange *exchange, const struct car_http_request *req);
    /* Whether a later request may go on with the session; where not, it was refused, and the exchange answered. NULL:
     * whoever knows its id. */
    bool (*admit)(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req);
    void *app;
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t connect_timeout_ms; /* until car_eio_settle; 0: none */
    size_t max_payload;          /* bytes of a POST's payload, or of a WebSocket message */
};

/*
 * An Engine.IO session (socketio/engine.io-protocol, revision 4): a conversation that goes on over HTTP long-polling,
 * WebSocket, or the one and then the other. Embedded by its user. Lives and dies on one worker: its id says on which,
 * and requests that arrive on another are moved there. On its worker's thread, all of it.
 */
struct car_eio {
    const struct car_eio_server *server;
    struct car_worker *worker;
    struct car_eio_ws *ws;           /* NULL while the session is on long-polling */
    struct car_eio_polling *polling; /* NULL once it is on WebSocket, and nothing is left to be read */
    struct car_eio_ws *probe;        /* a WebSocket that may take over */
    const void *owner;               /* the tenant whose bytes it may carry; NULL as yet */
    struct car_hoard *hoard;
    struct car_timer timer;
    struct car_task turn; /* answers a poll, reads on, ends */
    uint64_t ping_at;     /* when the next ping is due, in the loop's milliseconds */
    uint64_t deadline;    /* for its answer, or, once `closing`, for the next poll */
    uint64_t connect_by;  /* UINT64_MAX once the peer has said what it wants */
    uint8_t key[16];      /* the secret part of its id */
    uint16_t last_code;   /* what a WebSocket that comes yet is told, once `closing` */
    bool awaiting_pong : 1;
    bool ping_unread : 1;   /* the ping waits for a poll to take it along */
    bool awaiting_room : 1; /* somebody waits for `drained` */
    bool leaving : 1;       /* it has been told that the server goes away */
    bool closing : 1;       /* nothing more is taken for output */
    bool over : 1;          /* `ended` comes */
    bool ended_by_peer : 1; /* it has said so itself */
    bool was_shed : 1;      /* it ended for want of memory */
};

/* The headers of a request to the server's path are in: moves it to the worker that has its session (see
 * car_exchange_move), or tells the session of a payload that is on its way. The caller has judged the Origin. Only from
 * within `begin`. */
void car_eio_expect(const struct car_eio_server *server, struct car_exchange *exchange,
                    const struct car_http_request *req);

/* Answers a request that car_eio_expect was told of, whatever it is: opens a session, polls, takes a payload, upgrades,
 * or refuses (with the reference's codes). Ends the exchange, now or later. */
void car_eio_request(const struct car_eio_server *server, struct car_exchange *exchange,
                     const struct car_http_request *req);

/* Refuses a request: 403 for CAR_ENGINEIO_FORBIDDEN, else 400, and the error's JSON. `error` is a car_engineio_error.
 */
void car_eio_refuse(struct car_exchange *exchange, int error);

/* Refuses a handshake for now: 503 with Retry-After. */
void car_eio_unavailable(struct car_exchange *exchange);

/* The peer has said what it wants: the connect timeout is over, and `owner` is whose bytes the session may carry from
 * now on, NULL for nobody's in particular. An owner never changes. */
void car_eio_settle(struct car_eio *eio, const void *owner);

/* Sends one message whose bytes are `owner`'s, NULL for nobody's in particular: a text packet that is whole (`4` and
 * the text), or the bytes of a binary message. false where the session is ending, or is not the owner's: then it ends,
 * and the fault is counted. Never blocks, and never fails for slowness. */
bool car_eio_send(struct car_eio *eio, const void *owner, struct car_span packet);
bool car_eio_send_binary(struct car_eio *eio, const void *owner, struct car_span bytes);

/* Sends packets that are ready in the session's form. As car_eio_send. */
bool car_eio_send_ready(struct car_eio *eio, struct car_blob *packets);

/* Whether the peer reads too slowly for more, or does not poll; true promises `drained`. */
bool car_eio_is_full(struct car_eio *eio);

enum car_eio_form car_eio_form(const struct car_eio *eio);

/* Ends the session when what waits has gone out: with a close frame of that code on WebSocket, a close packet on
 * long-polling. */
void car_eio_close(struct car_eio *eio, unsigned code, const char *reason);

/* As car_eio_close, for a client that shall come back: the reason says after which time, and `why` is 80 bytes at most.
 */
void car_eio_send_away(struct car_eio *eio, unsigned code, const char *why);

/* The same with 1001. */
void car_eio_go_away(struct car_eio *eio);

/* Its owner has no memory left: throws away what waits and what is kept, and ends, on WebSocket with 1013. */
void car_eio_shed(struct car_eio *eio);

/* Finds out how much the session makes the server keep (hoard.h): of what came, a payload and what `kept` says, and of
 * what nobody polls. It is its owner's memory. */
void car_eio_weigh(struct car_eio *eio);

/* Bytes of memory that wait for its peer, as they are counted (net.h). */
size_t car_eio_held(const struct car_eio *eio);

/* The peer broke the protocol, as `code` says to a WebSocket: the session ends at once. */
void car_eio_fail(struct car_eio *eio, unsigned code, const char *why);

/* Has sessions of a worker take their leave, `most` of those that have not yet; returns how many. */
size_t car_eio_leave_some(struct car_worker *worker, size_t most);

/* Ends all sessions of a worker as they are. */
void car_eio_end_all(struct car_worker *worker);

/* Writes the session's id: CAR_EIO_SID_LEN characters, no NUL. */
#define CAR_EIO_SID_LEN 24
void car_eio_sid(const struct car_eio *eio, char out[CAR_EIO_SID_LEN]);

#endif
