#include "carillon/net/net.h"

#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/net/conn.h"
#include "carillon/net/eio_conn.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/out.h"
#include "carillon/proto/deflate.h"
#include "carillon/runtime/worker.h"

#include "eio_table.h"

#define DEFLATE_LEVEL 1

#define SCRATCH_MAX (64u << 10) /* what is kept of the scratch buffer */

#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 5000

struct car_net_local *car_net_local(const struct car_worker *worker) {
    return worker->net;
}

int car_net_attach(struct car_net *net, struct car_worker *worker) {
    struct car_net_local *local = calloc(1, sizeof *local);
    if (!local) {
        return CAR_ENOMEM;
    }
    local->net = net;
    local->worker = worker;
    local->eios = car_eio_table_new();
    local->inflater = car_inflater_new();
    local->deflater = car_deflater_new(DEFLATE_LEVEL);
    int err = car_arrivals_open(&local->arrivals, worker);
    worker->net = local;
    worker->watches.ready = car_conn_ready;
    if (!local->eios || !local->inflater || !local->deflater || err) {
        car_net_detach(worker);
        return CAR_ENOMEM;
    }
    return 0;
}

void car_net_detach(struct car_worker *worker) {
    struct car_net_local *local = worker->net;
    worker->net = NULL;
    if (local) {
        car_out_free_spares(local);
        car_http_free_spares(local);
        car_buf_free(&local->scratch);
        car_eio_table_free(&local->eios);
        car_inflater_free(&local->inflater);
        car_deflater_free(&local->deflater);
        car_arrivals_close(&local->arrivals);
        free(local);
    }
}

struct car_buf *car_net_scratch(const struct car_worker *worker) {
    struct car_buf *scratch = &car_net_local(worker)->scratch;
    if (scratch->failed || scratch->cap > SCRATCH_MAX) {
        car_buf_free(scratch);
    }
    scratch->len = 0;
    return scratch;
}

unsigned car_net_left(const struct car_net *net) {
    unsigned moves = atomic_load(&net->moves);
    unsigned n = atomic_load(&net->sessions);
    for (unsigned i = 0; i < net->worker_count; i++) {
        n += atomic_load(&net->workers[i]->connections);
    }
    /* One that moved meanwhile may have been missed on both sides: not yet among those of its new worker, no longer
     * among those of the old one. It was counted among the moves in between, so after `moves` was read above. */
    return n == 0 && atomic_load(&net->moves) != moves ? 1 : n;
}

unsigned car_net_retry_ms(void) {
    uint32_t random;
    car_random(&random, sizeof random);
    return RETRY_MIN_MS + random % (RETRY_MAX_MS - RETRY_MIN_MS + 1);
}

void car_net_refuse_write(struct car_worker *worker) {
    atomic_fetch_add_explicit(&car_net_local(worker)->refused_writes, 1, memory_order_relaxed);
    car_log_error("refused to write one tenant's bytes to another's connection; the connection is closed");
}

static void each(struct car_net_local *local, void (*visit)(struct car_conn *conn)) {
    for (struct car_conn *conn = local->conns, *next; conn; conn = next) {
        next = conn->next; /* connections leave the list from the loop only */
        visit(conn);
    }
}

static void leave(struct car_conn *conn) {
    if (!conn->closing && !conn->finishing) {
        conn->ops->leave(conn);
    }
}

static void on_leaving(struct car_task *task) {
    struct car_net_local *local = (struct car_net_local *)((char *)task - offsetof(struct car_net_local, drain_task));
    car_arrivals_take_all(&local->arrivals);
    car_eio_leave_all(local->draining); /* a poll that is answered by that leaves its connection open for the next */
    each(local, leave);
}

/* What has come for the sessions goes out before they leave. */
static void on_drain(struct car_note *note, void *owner) {
    struct car_worker *worker = owner;
    struct car_net_local *local = car_net_local(worker);
    (void)note;
    local->drain_task.run = on_leaving;
    local->draining = worker;
    car_task_yield(&worker->tasks, &local->drain_task);
}

void car_net_drain(struct car_worker *worker) {
    struct car_net_local *local = car_net_local(worker);
    atomic_store(&local->net->draining, true);
    local->drain_note.run = on_drain;
    car_mailbox_post(&worker->mailbox, &local->drain_note);
}

void car_net_abort(struct car_worker *worker) {
    car_net_local(worker)->aborted = true;
    car_arrivals_take_all(&car_net_local(worker)->arrivals);
    car_eio_end_all(worker);
    each(car_net_local(worker), car_conn_close);
}
