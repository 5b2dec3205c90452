#ifndef CARILLON_FEED_MEMORY_H
#define CARILLON_FEED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct car_feed;
struct car_reader;
struct car_tenant;
struct car_worker;

/*
 * The memory that a tenant has in use, and what happens where that is more than its budget. Counted in bytes are its
 * events from their publishing to their forgetting, what waits for its sockets that take no more (a blob that several
 * of them share in equal parts), and so much for each of its sessions. The counter is the tenant's, relaxed: whoever
 * adds takes away the same, on whichever thread, so its sum is right, and what is read of it is an estimate.
 *
 * The budget is --tenant-memory or, while the process is short of memory, the share that car_feed.share says. It is
 * met in this order: at three quarters, events go from memory that the log has elsewhere, down to a few; at seven
 * eighths, and when these have gone, its most behind sessions go, of those for which something waits; beyond it, who
 * publishes is refused.
 */

#define CAR_MEMORY_SESSION 512                   /* of one that is idle, with its connection */
#define CAR_MEMORY_LEAST   (UINT64_C(256) << 10) /* what any tenant may have, however short memory is */
#define CAR_MEMORY_EVENTS  16                    /* that stay in memory, however short it is */

/* Adds, or takes away. Any thread. */
void car_memory_count(struct car_tenant *tenant, int64_t change);

/* What is in use. Any thread. */
uint64_t car_memory_used(const struct car_tenant *tenant);

/* The tenant's budget as it is now; UINT64_MAX where there is none. Any thread. */
uint64_t car_memory_budget(const struct car_feed *feed);

/* Whether with so much more it were beyond its budget. Any thread. */
bool car_memory_refuses(const struct car_feed *feed, const struct car_tenant *tenant, size_t bytes);

/* Whether events go from memory that the log has. Any thread. */
bool car_memory_trims(const struct car_feed *feed, const struct car_tenant *tenant);

/* Whether there are any left that may. Any thread. */
bool car_memory_has_history(const struct car_feed *feed, const struct car_tenant *tenant);

/* How much its sessions have to let go of; 0: nothing. Any thread. */
uint64_t car_memory_excess(const struct car_feed *feed, const struct car_tenant *tenant);

/* Adds, or takes away, what waits for the tenant's sockets on the worker, and has its sessions there looked at soon
 * where that is too much. On the worker's thread. */
void car_memory_held(struct car_tenant *tenant, struct car_worker *worker, int64_t change);

/* More, or less, is kept on the worker of what came and is not whole, of the tenant's or, NULL, of those whose tenant
 * is not known yet; these count as one, which only has a budget while the process is short of memory. On the worker's
 * thread. */
void car_memory_kept(struct car_tenant *tenant, struct car_worker *worker, int64_t change);

/* Whether more events are not to be got for a list: the tenant has as much in use as it may, and no history in memory
 * that could go instead, which is told to. On the worker's thread. */
bool car_memory_denies(struct car_tenant *tenant, struct car_worker *worker);

/* Whether what has been kept so long is to go: input that is not whole, or else answers that are not read. The tenant
 * may be NULL as above. Any thread. */
bool car_memory_sheds(struct car_feed *feed, const struct car_tenant *tenant, uint64_t age_ms, bool input);

/* Whether the tenant has as many subscribers as its budget has room for: they are to leave half of it. Any thread. */
bool car_memory_seats_taken(const struct car_feed *feed, const struct car_tenant *tenant);

/* Whether newcomers of the tenant are let in while the process is short of memory, for it uses little: no more than
 * those above it would have if they alone let go of what is too much. Any thread. */
bool car_memory_is_modest(const struct car_feed *feed, const struct car_tenant *tenant);

/* Whether so much is more than the tenant's budget can ever hold. Any thread. */
bool car_memory_never_fits(const struct car_feed *feed, size_t bytes);

/* Has the sessions on all workers looked at soon. `reader` is the calling thread's, `self` its worker, or NULL. */
void car_memory_press(const struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                      struct car_worker *self);

#endif
