#ifndef CARILLON_FEED_SHARES_H
#define CARILLON_FEED_SHARES_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/runtime/mailbox.h"

struct car_feed;
struct car_reader;
struct car_tenant;

/*
 * What each tenant may have of a memory that is short (memory.h): the level to which those above it have to come down,
 * so that together they let go of what is too much. Who is below it is not touched: max-min fairness, by which the one
 * that uses most is cut first.
 */

/* Counts of how many use how much, in steps of a quarter. Zeroed to begin with. */
#define CAR_SHARES_STEPS 256
struct car_shares {
    uint64_t tenants[CAR_SHARES_STEPS], bytes[CAR_SHARES_STEPS];
};

void car_shares_add(struct car_shares *shares, uint64_t used);

/* The level at which what is above it comes to `excess` bytes or more, and never below `least`. */
uint64_t car_shares_level(const struct car_shares *shares, uint64_t excess, uint64_t least);

/* Tenants whose histories are to be cut, on their way to a worker: whoever posts it is their drainer until then. */
#define CAR_SHARES_CUT 64
struct car_shares_cut {
    struct car_note note; /* first */
    struct car_tenant *tenants[CAR_SHARES_CUT];
    size_t count;
    _Atomic(_Bool) busy; /* on its way */
};

/* Sets feed->share so that tenants let go of `excess` bytes, and has those above it looked at. By one thread, which is
 * no worker, with its reader; `cut` is kept until the workers have ended. */
void car_shares_set(struct car_feed *feed, struct car_reader *reader, uint64_t excess, struct car_shares_cut *cut);

/* Sets feed->modest so that those above it have `excess` bytes or more beyond it, and newcomers are theirs to do
 * without; nobody's are let in where even that is not enough. By that thread. */
void car_shares_admit(struct car_feed *feed, uint64_t excess);

/* Memory is not short any more. */
void car_shares_lift(struct car_feed *feed);

#endif
