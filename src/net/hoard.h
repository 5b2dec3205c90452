#ifndef CARILLON_NET_HOARD_H
#define CARILLON_NET_HOARD_H

#include <stdbool.h>
#include <stddef.h>

#include "carillon/net/hoards.h"

struct car_conn;
struct car_net_local;

/* Less is not looked after. */
#define CAR_HOARD_MIN 4096

/*
 * What somebody makes the server keep for longer than a turn: input that is not whole, and answers that are not read.
 * Input counts as memory of its owner's from here on; output is counted where it waits (out.h). Whoever keeps none, or
 * little, has no hoard. While an owner has more in use than it may (car_net_owners.sheds), those of its hoards that are
 * the most bytes for the longest time are sent away.
 */
struct car_keeping {
    void *holder;
    void (*shed)(void *holder); /* sends it away; what it keeps goes with that */
    const void *owner;          /* NULL: nobody knows as yet */
    size_t input, output;       /* bytes */
};

/* What the holder keeps now. `hoard` is its own, NULL to begin with. On the worker's thread. */
void car_hoard_set(struct car_net_local *local, struct car_hoard **hoard, const struct car_keeping *now);

/* It keeps nothing any more. */
void car_hoard_drop(struct car_net_local *local, struct car_hoard **hoard);

/* Whether what came over the connection is no more than its owner may have at all. */
bool car_hoard_fits(const struct car_conn *conn);

/* The same as car_hoard_set for a connection: finds out what it keeps. */
void car_hoard_look_at(struct car_conn *conn);

#endif
