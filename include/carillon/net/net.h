#ifndef CARILLON_NET_NET_H
#define CARILLON_NET_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/net/arrivals.h"
#include "carillon/runtime/mailbox.h"
#include "carillon/runtime/task.h"

struct car_blob;
struct car_cidr;
struct car_conn;
struct car_deflater;
struct car_eio_table;
struct car_exchange;
struct car_http_app;
struct car_inflater;
struct car_out_list;
struct car_worker;

/* What all connections share. Filled before the workers run, never changed while they do, but for the atomics. */
struct car_net {
    const struct car_http_app *app; /* who answers requests */
    void *app_data;
    size_t max_body;             /* bytes of a request's body, or of a WebSocket message */
    uint32_t request_timeout_ms; /* a request's arrival, from its first byte to its last */
    uint32_t idle_timeout_ms;    /* between two requests; and how long a response may make no progress */
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t sse_keepalive_ms;
    struct car_worker **workers;
    unsigned worker_count;
    const struct car_cidr *trusted; /* proxies; borrowed */
    size_t trusted_count;
    bool proxy_protocol;   /* each connection from one of them begins with a PROXY header */
    uint32_t max_sessions; /* Engine.IO sessions at a time; 0: any number */
    atomic_bool draining;
    atomic_uint moves;    /* connections that have left one worker for another */
    atomic_uint sessions; /* Engine.IO sessions: those on long-polling have no connection of their own */
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
    struct car_arrivals arrivals;
    struct car_conn *conns;
    struct car_eio_table *eios;
    struct car_inflater *inflater;
    struct car_deflater *deflater;
    struct car_buf scratch;         /* car_net_scratch */
    struct car_chunks small, large; /* output chunks, lists and exchanges that are not in use */
    struct car_out_list *spare_lists;
    unsigned spare_list_count;
    struct car_exchange *spare_exchanges;
    unsigned spare_exchange_count;
    bool aborted; /* car_net_abort has been called: what comes later is closed as well */
    struct car_note drain_note;
    struct car_task drain_task;
    struct car_worker *draining;         /* whose this is, once it drains */
    atomic_uint_fast64_t refused_writes; /* bytes of one owner that were about to go to another's connection */
};

/* Ties the net to a worker that does not run yet. 0 or CAR_ENOMEM. */
int car_net_attach(struct car_net *net, struct car_worker *worker);

/* The worker's thread has ended, and its connections with it. */
void car_net_detach(struct car_worker *worker);

/* Makes the worker's connections say good-bye: each protocol ends in its own way, what is in flight is finished. Once a
 * worker. Any thread. */
void car_net_drain(struct car_worker *worker);

/* Closes the worker's connections as they are. On the worker's thread. */
void car_net_abort(struct car_worker *worker);

/* How many connections and sessions there are on all workers. While nothing new comes in, 0 is final. Any thread. */
unsigned car_net_left(const struct car_net *net);

/* When a client that is sent away shall come back, in milliseconds: spread out, so that they don't all come at once. */
unsigned car_net_retry_ms(void);

/* The write boundary's rule: bytes of one owner never go to what is another's. Those of nobody, NULL, go anywhere. */
static inline bool car_net_may_write(const void *bytes_of, const void *conn_of) {
#ifdef CARILLON_MUTATION_BOUNDARY /* test/CMakeLists.txt: the tests of isolation have to notice */
    (void)bytes_of;
    (void)conn_of;
    return true;
#else
    return !bytes_of || bytes_of == conn_of;
#endif
}

/* Counts and logs that bytes of one owner were about to go to another's connection. On the worker's thread. */
void car_net_refuse_write(struct car_worker *worker);

struct car_net_local *car_net_local(const struct car_worker *worker);

/* The worker's buffer, emptied, for building something that is written before anybody else asks for it. Its failure is
 * sticky until then, as a buffer's is. On the worker's thread. */
struct car_buf *car_net_scratch(const struct car_worker *worker);

#endif
