#ifndef CARILLON_NET_HTTP_STATE_H
#define CARILLON_NET_HTTP_STATE_H

#include <stdbool.h>

#include "incoming.h"
#include "peer.h"

struct car_conn;
struct car_conn_ops;
struct car_exchange;
struct car_move;

/* What the parts of a connection's HTTP share: the protocol (http_conn.c), and its requests and their answers
 * (exchange.c). */

/* A connection while it speaks HTTP: its `proto`. Made with the connection, freed when that ends or another protocol
 * takes over. On the connection's worker. */
struct car_http_conn {
    struct car_conn *conn;
    struct car_exchange *exchange;       /* being received, or waiting for its answer */
    struct car_incoming incoming;        /* what is being received */
    bool whole;                          /* the exchange's request has been handed on */
    bool over;                           /* no further request is read */
    bool shown;                          /* a request has arrived, and the log says from whom */
    bool peer_done;                      /* the peer sends nothing more */
    bool awaited;                        /* at the end something was under way, when it was last looked at */
    struct car_conn_peer peer;           /* who is at the other end */
    const char *why;                     /* the application's reason to refuse a request by its headers */
    const struct car_conn_ops *next_ops; /* of the protocol that takes over when the parser has returned */
    void *next_proto;
    struct car_move *move; /* to the worker that takes over when what waits has been written */
};

/* The exchange is answered: the next request may come, or the connection ends. */
void car_http_conn_next(struct car_http_conn *http);

/* Begins the exchange of a request. NULL where memory ran out. */
struct car_exchange *car_exchange_new(struct car_http_conn *http);

/* The connection goes; whoever has the exchange keeps it. */
void car_exchange_orphan(struct car_http_conn *http);

#endif
