#ifndef CARILLON_RUNTIME_WORKER_H
#define CARILLON_RUNTIME_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "carillon/base/metrics.h"
#include "carillon/runtime/mailbox.h"
#include "carillon/runtime/task.h"
#include "carillon/runtime/timer.h"
#include "carillon/runtime/watch.h"

struct car_reader;
struct car_reclaim;
struct car_turn_end;

#define CAR_READ_SIZE       (64u << 10)
#define CAR_WORKER_OWED_MAX 16u

/* What a worker counts of itself: a block (base/metrics.h). */
struct car_worker_metrics {
    struct car_histogram lag;
};

extern const struct car_metric car_worker_metric_rows[];
extern const size_t car_worker_metric_count;

/*
 * One worker: a thread, its loop, and all that the thread uses without sharing. Everything that serves a connection
 * hangs off the connection's worker.
 *
 * Owner: the worker's thread. Other threads may use `mailbox` (post), `connections` and the fields that never change.
 */
struct car_worker {
    /* never change after car_worker_open */
    unsigned id;                        /* 0, 1, 2 … */
    struct car_worker_metrics *metrics; /* the thread's to write */
    const char *name; /* the thread's, static; NULL: "worker-" and the id. May be set before the thread starts */

    /* any thread */
    struct car_mailbox mailbox;
    atomic_uint turned_away; /* those of `connections` that are over the limit, and only wait to be told so */
    atomic_uint connections; /* dealt to this worker and not gone yet: the listener adds, the worker takes away */

    /* the worker's thread only */
    uv_loop_t loop;
    uv_thread_t thread;
    bool started;
    struct car_wheel *wheel;
    struct car_reader *reader;
    struct car_tasks tasks;
    struct car_watches watches; /* its connections' sockets; the net floor's `ready` */
    struct car_timer reclaim_timer;
    struct car_task ring;                         /* rings those in `owed`: car_worker_post */
    struct car_worker *owed[CAR_WORKER_OWED_MAX]; /* whose bell is still to be rung */
    unsigned owed_count;
    struct car_turn_end *turn_ends; /* car_worker_at_turn_end */
    void *net;                      /* what this worker's connections share; the net floor's */
    void *feed;                     /* what this worker's lanes share; the feed floor's */
    void *guard;                    /* what its connections were let in with; the guard floor's */
    void *api;                      /* what its requests share; the api floor's */
    void *user;                     /* of a thread that is no worker of connections: what it is for */
    char read_buf[CAR_READ_SIZE];   /* all connections read into it: a quiet one holds no buffer */
};

/* Makes a worker that does not run yet. 0 or a negative code, and then nothing is left behind. */
int car_worker_open(struct car_worker **out, unsigned id, struct car_reclaim *reclaim);

/* Starts the thread, which runs the loop until car_worker_stop. 0 or a UV_E… code. */
int car_worker_start(struct car_worker *worker);

/* Posts to another worker, whose bell is rung when the input at hand has been read, once for all that is posted: woken
 * for the first event of many, it would write each socket twice. On `from`'s thread. */
void car_worker_post(struct car_worker *from, struct car_worker *to, struct car_note *note);

/* Has `end` run whenever the worker is through with what a turn of its loop has brought, written to the sockets
 * included. For good; before the thread starts. */
void car_worker_at_turn_end(struct car_worker *worker, struct car_turn_end *end);

/* Asks the loop to end: the worker's own handles close, and the thread returns when no other is left. On the worker's
 * thread. */
void car_worker_stop(struct car_worker *worker);

/* Waits for the thread to end; where it was never started, closes the worker's handles. Not on the worker's thread. */
void car_worker_join(struct car_worker *worker);

/* Frees a worker that was joined, and nulls the pointer. */
void car_worker_close(struct car_worker **worker);

/* The worker whose thread this is; NULL on any other thread. */
struct car_worker *car_worker_self(void);

#endif
