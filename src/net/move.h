#ifndef CARILLON_NET_MOVE_H
#define CARILLON_NET_MOVE_H

#include <stdbool.h>

#include "carillon/base/address.h"
#include "carillon/base/buf.h"
#include "carillon/runtime/mailbox.h"

struct car_worker;

/*
 * A socket on its way from one worker to another, with the input that was read from it. Made and filled by the one,
 * then posted to the other, which frees it. Both count the connection while it is on its way, so that nobody takes it
 * for gone.
 */
struct car_move {
    struct car_note note;
    int fd;
    bool peer_known;
    struct car_address peer; /* where it is known */
    struct car_buf input;
};

/* NULL where memory ran out. */
struct car_move *car_move_new(void);

/* Frees one that has not been posted, and nulls the pointer. NULL inside is allowed. */
void car_move_free(struct car_move **move);

/* Sends it off with that descriptor. On `from`'s thread. */
void car_move_post(struct car_move *move, int fd, struct car_worker *from, struct car_worker *to);

#endif
