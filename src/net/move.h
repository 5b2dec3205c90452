#ifndef CARILLON_NET_MOVE_H
#define CARILLON_NET_MOVE_H

#include <stdbool.h>

#include "carillon/base/address.h"
#include "carillon/base/buf.h"
#include "carillon/runtime/mailbox.h"

struct car_conn;
struct car_tls;
struct car_worker;

/*
 * A socket on its way from one worker to another, with its TLS and the input that was read from it. Made and filled by
 * the one, then posted to the other, which frees it. Both count the connection while it is on its way, so that nobody
 * takes it for gone.
 */
struct car_move {
    struct car_note note;
    struct car_worker *to;
    int fd;
    struct car_tls *tls; /* what it is spoken to with; NULL in the clear */
    bool peer_known;
    struct car_address peer; /* where it is known */
    struct car_buf input;
};

/* To that worker. NULL where memory ran out. */
struct car_move *car_move_new(struct car_worker *to);

/* Frees one that has not been posted, and nulls the pointer. NULL inside is allowed. */
void car_move_free(struct car_move **move);

/* Sends it off with the connection's socket and TLS, and all input that its protocol has left; what waits to be written
 * has gone out before. Here the connection is closed. Nulls the pointer; where memory ran out the connection is closed
 * as well, and the move is still the caller's. On the thread of the connection's worker. */
void car_move_depart(struct car_move **move, struct car_conn *conn);

#endif
