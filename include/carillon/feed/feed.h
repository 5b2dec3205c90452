#ifndef CARILLON_FEED_FEED_H
#define CARILLON_FEED_FEED_H

#include <stdatomic.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/filling.h"
#include "carillon/feed/wire.h"
#include "carillon/runtime/turn.h"

#define CAR_EPOCH_LEN 16

struct car_feed_metrics;
struct car_lane;
struct car_log;
struct car_reclaim;
struct car_registry;
struct car_tenant;
struct car_worker;

/* What all tenants share. Filled by the thread that starts the process, before the workers run; never changed while
 * they do, but for the atomics. */
struct car_feed {
    struct car_registry *registry;
    struct car_log *log;
    struct car_worker **workers;
    unsigned worker_count;
    uint32_t keep;                 /* events kept in memory for each tenant that has no terms for it (car_feed_keep) */
    uint64_t retain;               /* events kept for each tenant, at most; 0: all */
    uint64_t tenant_memory;        /* bytes each tenant may have in use (memory.h); 0: any number */
    atomic_uint_fast64_t share;    /* the same while the process is short of memory, the lesser counts; 0: it is not.
                                      Written by the main thread, read by any; relaxed */
    atomic_uint_fast64_t modest;   /* then, those who use no more are let in all the same (car_memory_is_modest) */
    atomic_int_fast64_t unclaimed; /* bytes kept of those whose tenant is not known yet (memory.h); relaxed */
    struct car_filling filling;    /* asked for a look at the process's memory */
    struct car_span named_head;    /* for each worker's car_wire_kit; borrowed for the feed's life */
    char epoch[CAR_EPOCH_LEN + 1]; /* names the log, in hexadecimal: another one where the store was made anew */
    struct car_event_key id_key;   /* of the log's events */
    car_account_key_fn key;        /* told of what keys a log has, while it is opened; NULL: nobody is */
    void *key_user;
};

/* What the lanes and publishers of one worker share. Owner: the worker's thread; others read the atomic. */
struct car_feed_local {
    struct car_feed *feed;
    struct car_wire_kit wires;
    struct car_feed_metrics *metrics;
    struct car_lane *lanes; /* all that the worker has */
    struct car_turn_end turn_end;
    uint64_t fanout_us;     /* when this turn's fan-out began (car_turn_us); 0: there was none */
    uint64_t oldest_us;     /* when the oldest event of it came into the log */
    atomic_uint publishing; /* events whose publishers wait: the worker must not stop before they have their answer */
};

/* Ties the feed to a worker that does not run yet. 0 or CAR_ENOMEM. */
int car_feed_attach(struct car_feed *feed, struct car_worker *worker);

/* The worker's thread has ended. */
void car_feed_detach(struct car_worker *worker);

/* How many of the tenant's events are kept, as its terms say or as the feed does: in memory, and in all (0: all). Any
 * thread. */
uint32_t car_feed_keep(const struct car_feed *feed, const struct car_tenant *tenant);
uint64_t car_feed_retain(const struct car_feed *feed, const struct car_tenant *tenant);

/* The first seq that may be asked for; newest + 1 while there is none. What lies before it has been forgotten. Any
 * thread. */
uint64_t car_feed_oldest(const struct car_feed *feed, const struct car_tenant *tenant);

/* Names the tenant's log, NUL-terminated: as the feed's epoch does, and another one where a tenant had that id before.
 * Any thread. */
void car_feed_epoch(const struct car_feed *feed, const struct car_tenant *tenant, char out[CAR_EPOCH_LEN + 1]);

/* The seq of the tenant's event with that id, in its textual form, whether it has been forgotten or not; 0 where it is
 * none of this log. Any thread. */
uint64_t car_feed_seq_of(const struct car_feed *feed, const struct car_tenant *tenant, struct car_span id);

static inline struct car_feed_local *car_feed_local(void *worker_feed) {
    return worker_feed;
}

/* Counts an event whose publisher waits (1) or has its answer (-1). On the worker's thread, the only one that writes.
 */
static inline void car_feed_publishing(struct car_feed_local *local, int change) {
    unsigned now = atomic_load_explicit(&local->publishing, memory_order_relaxed);
    atomic_store_explicit(&local->publishing, now + (unsigned)change, memory_order_release);
}

#endif
