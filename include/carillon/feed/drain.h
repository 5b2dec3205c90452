#ifndef CARILLON_FEED_DRAIN_H
#define CARILLON_FEED_DRAIN_H

#include <stdbool.h>
#include <stddef.h>

struct car_feed;
struct car_publish;
struct car_reader;
struct car_tenant;
struct car_worker;

#define CAR_DRAIN_BATCH 256

/*
 * The drainer's side of a tenant: the steps by which a log turns what waits in the inlet into numbered events. One
 * thread at a time is a tenant's drainer: whoever turned `draining` to true (car_drain_claim), until car_drain_finish.
 *
 * Ordering: the exchange that claims acquires what the former drainer's release of the flag published, so history and
 * lanes have a single writer. Who waits in the inlet meanwhile is never left behind without a drainer
 * (src/feed/inlet.h).
 */

/* Tries to become the drainer. */
bool car_drain_claim(struct car_tenant *tenant);

/* Takes up to `max` (at most CAR_DRAIN_BATCH) of what waits. 0 where nothing does, or where a worker is so far behind
 * that taking more would make it miss events: then whoever reads that worker's lane goes on. Either way the drainer
 * ends with car_drain_finish. `reader` is the calling thread's. */
size_t car_drain_take(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                      struct car_publish **batch, size_t max);

/* Numbers what was taken, in order, stores it in the history, wakes the lanes, answers the publishers. `reader` is the
 * calling thread's, `self` its worker, NULL where it is none. */
void car_drain_seal(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                    struct car_reader *reader, struct car_worker *self);

/* Lets the log's `ready` be called again for this tenant after the worker's loop has looked for input; until then the
 * caller stays the drainer. On the worker's thread. */
void car_drain_yield(struct car_tenant *tenant, struct car_worker *worker);

/* Stops being the drainer. true where something arrived meanwhile and this thread has become the drainer once more. */
bool car_drain_finish(struct car_tenant *tenant);

#endif
