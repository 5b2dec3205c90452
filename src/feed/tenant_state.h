#ifndef CARILLON_FEED_TENANT_STATE_H
#define CARILLON_FEED_TENANT_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "carillon/base/metrics.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/history.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/task.h"

#include "rate.h"

struct car_flow;
struct car_lane;
struct car_lanes;
struct car_tenant_kept;
struct car_publish;
struct car_ring;
struct car_worker;

/* What the registry's set compares. A look-up builds one on its stack, without a tenant. */
struct car_tenant_key {
    uint64_t hash; /* the registry's */
    struct car_span id;
};

/*
 * Inside of the feed only. With many tenants each event finds its tenant cold, so what publishing touches stands
 * together at the beginning.
 */
struct car_tenant {
    /* never changes; first, for the registry */
    struct car_tenant_key key;

    /* written by the drainer, read by any thread */
    struct car_history history;

    /* the drainer's */
    uint64_t floor;            /* every lane has gone past this seq; may have been some time ago */
    struct car_publish *first; /* goes before what is in the inlet, without having been there */

    /* Of its terms, what is asked for outside of a section: written with them, read by any thread. 0: the feed's. */
    atomic_uint_fast64_t retain; /* events that are kept; in memory: `buffer` */

    /* any thread */
    _Atomic(struct car_lanes *) lanes; /* made by the first subscriber (lane.h) */
    struct car_flow *_Atomic flows;    /* one a worker, made when one is first served (flows.h); each is its worker's */
    atomic_int_fast64_t memory;        /* bytes, as memory.h counts them; relaxed: it is an estimate at any moment */
    atomic_bool draining;              /* somebody is the drainer; whoever turns it from false to true is (drain.h) */
    atomic_bool queued;  /* something may be in the inlet; true before `draining` is looked at, false before taking */
    atomic_bool stalled; /* the drainer waits for a lane to be read; whoever turns it to false goes on for it */
    atomic_bool removed; /* it is out of the registry, and what comes is refused; never turned off. Turned on before
                            `draining` is tried, and looked at after that was turned off (car_drain_finish) */
    atomic_bool counted; /* its terms have limits of what it publishes; by the log */
    bool closed;         /* the drainer's: what it had is let go of since it was removed */
    char id[CAR_TENANT_ID_MAX + 1]; /* never changes */
    atomic_uint buffer;             /* as `retain` */
    atomic_uint connections;
    atomic_uint guests; /* those that are counted against its limit (car_tenant_admit) */

    /* What publishing asks of its terms, so that it has not to look them up; 0: it has none of its own. Written with
     * `kept`, read by any thread. */
    _Atomic uint32_t message_bytes;
    _Atomic(struct car_ring *) inlet; /* made by the first publisher that finds another thread draining */

    /* written by the drainer, read by any thread */
    struct car_rate rate;
    car_cell published, published_bytes; /* since the process began: events, and bytes of their JSON */
    atomic_uint_fast64_t forgotten;      /* by the log; written by its thread */

    int64_t created_ms;                     /* never changes */
    int64_t salt;                           /* never changes */
    _Atomic(struct car_tenant_kept *) kept; /* its terms: written by the log, read by any thread inside a section */
    _Atomic uint64_t taken;                 /* of the server's limit (car_tenant_state); any thread */
    _Atomic uint64_t came;                  /* subscribers lately (car_tenant_came); any thread */
    atomic_uint_fast64_t refused;           /* car_tenant_count_refused; any thread */
    struct car_tenant *next_removed;        /* the registry's, once it is removed */

    /* the drainer's */
    union {
        struct {                        /* of a log that drains where it is called */
            struct car_task drain_task; /* where it yields to its loop */
            struct car_worker *drain_worker;
            void *drain_memory; /* the log's */
        };
        struct car_drain_seat seat; /* of one that has a thread of its own */
    };
};

#endif
