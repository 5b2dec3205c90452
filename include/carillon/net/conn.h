#ifndef CARILLON_NET_CONN_H
#define CARILLON_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/net/out.h"
#include "carillon/runtime/task.h"
#include "carillon/runtime/timer.h"
#include "carillon/runtime/watch.h"

struct car_blob;
struct car_conn;
struct car_flow;
struct car_hoard;
struct car_keeping;
struct car_tls;
struct car_worker;

/* While more than this waits to be written, the connection is not read from. */
#define CAR_CONN_HIGH_WATER (256u << 10)

/* How long one who may not be here any more has for what waits: a little less than the second that is promised. */
#define CAR_CONN_DISMISS_MS 900

/* The protocol that a connection speaks at the moment. On the connection's worker. */
struct car_conn_ops {
    /* Bytes have arrived; they are scratch until it returns how many it took. What it left is held and offered again
     * after car_conn_continue, and when what waited to be written has gone out; nothing is read meanwhile. */
    size_t (*input)(struct car_conn *conn, char *bytes, size_t len);
    /* The peer sends nothing more. */
    void (*eof)(struct car_conn *conn);
    /* Everything that waited has been written, after car_conn_write made somebody wait (car_conn_is_full). */
    void (*drained)(struct car_conn *conn);
    /* The timer (car_conn_wake_at) has gone off. */
    void (*wake)(struct car_conn *conn);
    /* The server is going away: say good-bye, and finish. */
    void (*leave)(struct car_conn *conn);
    /* The server's time is up: answer what has come in part, and finish; where that is nothing, go on. NULL: nothing
     * ever is. */
    void (*last)(struct car_conn *conn);
    /* What it keeps for longer than a turn (hoard.h): adds input that is not whole, and answers where they are not left
     * to a session; may say whose it is. NULL: nothing. */
    void (*keeps)(const struct car_conn *conn, struct car_keeping *keeping);
    /* Its owner has no memory left: say so, let go of what is kept, and finish. Where `keeps` is. */
    void (*shed)(struct car_conn *conn);
    /* The connection is closed: free `proto`. The last call. */
    void (*ended)(struct car_conn *conn);
};

/*
 * A TCP connection. Lives and dies on one worker; what can move to another is its descriptor, to a connection of its
 * own there. What is to be written waits and goes out once at the end of the
 * loop's turn; what the socket does not take stays there, and the connection is `blocked` until there is room again.
 *
 * There are many, and most are quiet: what delivering an event touches comes first, on two cache lines.
 */
struct car_conn {
    const struct car_conn_ops *ops;
    void *proto;           /* the protocol's state */
    const void *owner;     /* whose bytes may go out: a tenant, or NULL for nobody's in particular (car_conn_belong) */
    struct car_flow *flow; /* in which it is served, and to which that is charged */
    struct car_worker *worker;
    struct car_out out;
    struct car_task turn;
    struct car_watch watch;
    bool blocked : 1;               /* the socket takes no more for now */
    bool watches_room : 1;          /* it has been blocked before */
    bool moved : 1;                 /* it has taken something since car_conn_is_stuck was last asked */
    bool full : 1;                  /* somebody waits for `drained` */
    bool reading : 1;               /* the protocol takes input */
    bool readable : 1;              /* there may be some */
    bool ending : 1;                /* more may stand behind a short read: the peer's end, as a rule */
    bool saw_eof : 1;               /* and has been read */
    bool resume : 1;                /* held input may go on */
    bool finishing : 1;             /* nothing more is taken for output */
    bool hurried : 1;               /* and the peer has so long for it, whether it takes some of it or none */
    bool shut : 1;                  /* our end is closed, the peer's is not yet */
    bool closing : 1;               /* the descriptor is closed, `ended` will be called */
    bool cut : 1;                   /* what waited has been thrown away (car_conn_cut) */
    bool turned_away : 1;           /* over the limit: counted in the worker's turned_away as well */
    bool overdue : 1;               /* wake_at is past, and the loop looks for input once more */
    struct car_conn *next, **pprev; /* among the worker's connections */
    struct car_timer timer;
    uint64_t wake_at;     /* in uv_now's milliseconds */
    struct car_buf *held; /* input that the protocol left */
    struct car_tls *tls;  /* NULL in the clear */
    struct car_hoard *hoard;
};

/* Takes over an accepted socket; NULL, and it is closed, where memory ran out. The protocol starts with `ops`, and sets
 * the connection's `proto`. On the worker's thread. */
struct car_conn *car_conn_open(struct car_worker *worker, int fd, const struct car_conn_ops *ops);

/* As car_conn_begin, for a connection that comes from another worker with input that was read there. Takes the buffer
 * over; its bytes come first. */
void car_conn_begin_with(struct car_conn *conn, struct car_buf *input);

/* Takes the descriptor away, open, and what it is spoken to with (NULL in the clear), for another worker: here the
 * connection is closed. What waits to be written is dropped, so that it has gone out before. Returns the descriptor. */
int car_conn_release(struct car_conn *conn, struct car_tls **tls);

/* TLS from here on, where the net has it (car_tls_use), beginning with the `len` bytes that were read already: none, or
 * from within `input`, less than CAR_READ_SIZE. It is closed where memory ran out. */
void car_conn_secure(struct car_conn *conn, const char *bytes, size_t len);

/* Reads what the socket has brought along, and watches it from then on. Once; it is closed where that fails. */
void car_conn_begin(struct car_conn *conn);

/* Whose bytes may go out from now on; whose flow it is served in, too. */
void car_conn_belong(struct car_conn *conn, const void *owner);

/* A tenant has no memory left: throws away what waits, but for the first `rest` bytes, which end what has been begun,
 * and are at the head of one blob of its owner's (car_conn_begun). */
void car_conn_cut(struct car_conn *conn, size_t rest);

/* The blob of its owner's that stands first in what waits, and how much of it has been written, or put into records; an
 * empty one where nothing waits; NULL where something else stands there. Borrowed. */
const struct car_blob *car_conn_begun(const struct car_conn *conn, size_t *written);

/* Ends as car_conn_finish does, but waits a moment only for a peer that takes nothing. */
void car_conn_finish_soon(struct car_conn *conn);

/* Ends as car_conn_finish does, but what the peer has not taken by then it will never have. */
void car_conn_finish_within(struct car_conn *conn, uint64_t ms);

/* Bytes of memory that are counted as its owner's for what its socket does not take. */
size_t car_conn_held(const struct car_conn *conn);

/* Whether the socket is behind. true promises a later call of `drained`, unless the connection ends. */
bool car_conn_is_full(struct car_conn *conn);

/* Whether something waits to be written at all, with the same promise. */
bool car_conn_await_drained(struct car_conn *conn);

/* Whether the socket takes no more for now. */
static inline bool car_conn_is_blocked(const struct car_conn *conn) {
    return conn->blocked;
}

/* Whether the peer has taken nothing since this was last asked, though something waits for it: one that reads on is
 * alive. "Nothing" is less than about 64 KiB, for less room is not reported. */
bool car_conn_is_stuck(struct car_conn *conn);

/* Bytes handed to car_conn_write that the socket has not taken. */
size_t car_conn_pending(const struct car_conn *conn);

/* Offers held input again, at the end of the turn. */
void car_conn_continue(struct car_conn *conn);

/* Lets `wake` be called `ms` from now, in place of whatever was set before. */
void car_conn_wake_in(struct car_conn *conn, uint64_t ms);

/* Writes what waits, closes our end, and waits a little for the peer's, throwing away what it sends: an answer would be
 * lost where input is left unread (RFC 9112, section 9.6). */
void car_conn_finish(struct car_conn *conn);

/* Closes at once. `ended` comes later, from the loop. Harmless when repeated. */
void car_conn_close(struct car_conn *conn);

/* Puts the connection first into that list of its worker's, out of the one that it is in. */
void car_conn_list(struct car_conn *conn, struct car_conn **head);

/* The worker's watches report to it. */
void car_conn_ready(struct car_watch *watch, unsigned what);

/* Milliseconds, the loop's idea of now. */
uint64_t car_conn_now(const struct car_conn *conn);

#endif
