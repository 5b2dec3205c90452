#ifndef CARILLON_NET_PEER_H
#define CARILLON_NET_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "carillon/base/address.h"

struct car_conn;
struct car_proxy;

/*
 * Who is at the other end of a connection. Part of its HTTP state, and gone with that: an idle WebSocket does not carry
 * it. On the connection's worker.
 */
struct car_conn_peer {
    bool known;
    struct car_address address; /* where it is known */
    struct car_proxy *header;   /* what has to arrive before anything else, while it does; else NULL */
};

/* Of a connection just accepted: finds out whether a PROXY header is due. 0; or CAR_ENOMEM, or CAR_ECLOSED where
 * its peer has reset it already, and what it sent is not to be read as anybody's. */
int car_conn_peer_begin(struct car_conn_peer *peer, const struct car_conn *conn);

/* Feeds the header that is due. *consumed is less than `len` only where it ended before; `header` is then NULL, as it
 * is wherever it has ended. An error of car_proxy_feed where it is none. */
int car_conn_peer_feed(struct car_conn_peer *peer, const char *bytes, size_t len, size_t *consumed);

/* The address; asks the socket, where it is not known yet. See car_exchange_peer. */
int car_conn_peer_get(struct car_conn_peer *peer, const struct car_conn *conn, struct car_address *out);

void car_conn_peer_free(struct car_conn_peer *peer);

#endif
