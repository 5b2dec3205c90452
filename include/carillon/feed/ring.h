#ifndef CARILLON_FEED_RING_H
#define CARILLON_FEED_RING_H

#include <stdbool.h>

/*
 * A bounded lock-free queue of pointers (ck_ring with its slots in one allocation). The suffix names the discipline:
 * a ring is used as mpsc or as spsc for all its life.
 *
 *   inlet  mpsc  any publishing thread puts, the tenant's one drainer at a time takes
 *   lane   spsc  the drainer puts, one worker takes
 *
 * Ordering: what the putter wrote before the put is visible to the taker. "One drainer at a time" hands the taker's and
 * the putter's side from thread to thread, which needs an ordering of its own (the drainer flag, see drain.h).
 * Reclamation: whoever made it frees it once neither side can be using it.
 */
struct car_ring;

/* `slots` is a power of two, 4 to 65536; it holds slots - 1 pointers. NULL without memory. */
struct car_ring *car_ring_new(unsigned slots);

/* The ring must be empty of what needs freeing. */
void car_ring_free(struct car_ring **ring);

/* Producer's side. false where the ring is full. An mpsc put spins behind a preempted producer, so nothing is done
 * between its two halves. */
bool car_ring_put_mpsc(struct car_ring *ring, void *item);
bool car_ring_put_spsc(struct car_ring *ring, void *item);

/* Consumer's side. NULL where the ring is empty. */
void *car_ring_take_mpsc(struct car_ring *ring);
void *car_ring_take_spsc(struct car_ring *ring);

/* How many are inside, as of some moment during the call. Any thread. */
unsigned car_ring_count(const struct car_ring *ring);

#endif
