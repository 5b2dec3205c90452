#ifndef CARILLON_NET_NET_H
#define CARILLON_NET_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/metrics.h"
#include "carillon/net/arrivals.h"
#include "carillon/net/hoards.h"
#include "carillon/net/leaving.h"

struct car_blob;
struct car_cidr;
struct car_conn;
struct car_deflater;
struct car_eio_table;
struct car_exchange;
struct car_flow;
struct car_http_app;
struct car_inflater;
struct car_net_metrics;
struct car_out_list;
struct car_tls_context;
struct car_tls_desk;
struct car_worker;

/* What is known of those whose bytes may go out over a connection (car_conn.owner), by whoever gives them. On the
 * connection's worker. */
struct car_net_owners {
    struct car_flow *(*flow)(struct car_worker *worker, const void *owner);       /* in which they are served */
    void (*held)(struct car_worker *worker, const void *owner, ptrdiff_t change); /* more, or less, waits for sockets */
    /* More, or less, is kept of what came and is not whole; `owner` may be NULL. NULL: none of that is looked after. */
    void (*kept)(struct car_worker *worker, const void *owner, ptrdiff_t change);
    /* Whether what has been kept of its so long is to go, because it has more in use than it may: input, or else
     * answers that wait. */
    bool (*sheds)(struct car_worker *worker, const void *owner, uint64_t age_ms, bool input);
    bool (*fits)(struct car_worker *worker, const void *owner, size_t bytes); /* into what it may have at all */
    /* Whether newcomers of its are let in while memory is short. NULL: nobody's are. */
    bool (*modest)(struct car_worker *worker, const void *owner);
};

/* Memory that is counted as an owner's. Zeroed, nothing is. */
struct car_held {
    const void *owner;
    size_t bytes;
};

/* Why connections are refused. */
enum car_refusal_reason { CAR_REFUSED_AS_TOO_MANY, CAR_REFUSED_FOR_MEMORY, CAR_REFUSALS };

/* What all connections share. Filled before the workers run, never changed while they do, but for the atomics. */
struct car_net {
    const struct car_http_app *app; /* who answers requests */
    void *app_data;
    const struct car_net_owners *owners; /* NULL: all are served in the common flow, and nothing is counted */
    size_t max_body;                     /* bytes of a request's body, or of a WebSocket message */
    uint32_t request_timeout_ms;         /* a request's arrival, from its first byte to its last */
    uint32_t idle_timeout_ms;            /* between two requests; and how long a response may make no progress */
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t sse_keepalive_ms;
    struct car_worker **workers;
    unsigned worker_count;
    const struct car_cidr *trusted; /* proxies; borrowed */
    size_t trusted_count;
    bool proxy_protocol;                   /* each connection from one of them begins with a PROXY header */
    _Atomic(struct car_tls_context *) tls; /* of connections that begin (car_tls_use); NULL: they are in the clear */
    atomic_int_least64_t tls_expires;      /* the end of that one's certificate, in seconds since 1970 (car_tls_use) */
    uint32_t max_connections;              /* and Engine.IO sessions, at a time; 0: any number */
    atomic_bool draining;
    atomic_bool succeeded;          /* while it drains: another process takes over, or has */
    atomic_uint moves;              /* connections that have left one worker for another */
    car_cell refused[CAR_REFUSALS]; /* connections; written by the listener, which for memory has some of them only */
    atomic_bool short_of_memory;    /* new ones are refused, but for those of the modest; written by the listener */
    atomic_uint sessions;           /* Engine.IO sessions: those on long-polling have no connection of their own */
};

#define CAR_CHUNKS_MAX 128

/* Output chunks of one size that are not in use (out.c). */
struct car_chunks {
    unsigned count;
    struct car_blob *spare[CAR_CHUNKS_MAX];
};

/* What the connections of one worker share. Owner: the worker's thread; other threads read the atomics. */
struct car_net_local {
    struct car_net *net;
    struct car_worker *worker;
    struct car_net_metrics *metrics;
    struct car_arrivals arrivals;
    struct car_conn *conns; /* those that have not been told to leave */
    struct car_hoards hoards;
    struct car_eio_table *eios;
    struct car_inflater *inflater;
    struct car_deflater *deflater;
    struct car_tls_desk *tls;       /* where records are read and written; NULL where there is no TLS */
    struct car_buf scratch;         /* car_net_scratch */
    struct car_chunks small, large; /* output chunks, lists and exchanges that are not in use */
    struct car_out_list *spare_lists;
    unsigned spare_list_count;
    struct car_exchange *spare_exchanges;
    unsigned spare_exchange_count;
    bool aborted;                        /* car_net_abort has been called: what comes later is closed as well */
    struct car_leaving leaving;          /* once it drains */
    atomic_uint_fast64_t refused_writes; /* bytes of one owner that were about to go to another's connection */
};

/* Ties the net to a worker that does not run yet. 0 or CAR_ENOMEM. */
int car_net_attach(struct car_net *net, struct car_worker *worker);

/* The worker's thread has ended, and its connections with it. */
void car_net_detach(struct car_worker *worker);

/* Makes the worker's connections say good-bye, a few at a time, all within `over_ms`: each protocol ends in its own
 * way, what is in flight is finished. Once a worker. Any thread. */
void car_net_drain(struct car_worker *worker, uint32_t over_ms);

/* Prepares what is zeroed; car_net_attach does. */
void car_leaving_init(struct car_leaving *leaving);

/* There is no more time for requests that have not come whole: each is answered that it comes too late, and its
 * connection ends. On the worker's thread. */
void car_net_end_requests(struct car_worker *worker);

/* Closes the worker's connections as they are. On the worker's thread. */
void car_net_abort(struct car_worker *worker);

/* How many connections and sessions there are on all workers. While nothing new comes in, 0 is final. Any thread. */
unsigned car_net_left(const struct car_net *net);

/* From now on it is so many bytes of that owner's; those of nobody (NULL) are not counted. On the worker's thread. */
void car_net_hold(const struct car_net_local *local, struct car_held *held, const void *owner, size_t bytes);

/* When a client that is sent away shall come back, in milliseconds: spread out, so that they don't all come at once. */
unsigned car_net_retry_ms(void);

/* The same in whole seconds, as Retry-After has it: 1 to 5. */
unsigned car_net_retry_s(void);

struct car_net_local *car_net_local(const struct car_worker *worker);

/* The worker's buffer, emptied, for building something that is written before anybody else asks for it. Its failure is
 * sticky until then, as a buffer's is. On the worker's thread. */
struct car_buf *car_net_scratch(const struct car_worker *worker);

#endif
