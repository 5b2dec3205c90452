#include "carillon/net/net.h"

#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/net/conn.h"
#include "carillon/net/eio_conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net_metrics.h"
#include "carillon/net/out.h"
#include "carillon/proto/deflate.h"
#include "carillon/runtime/worker.h"

#include "eio_table.h"
#include "tls.h"

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
    car_leaving_init(&local->leaving);
    car_hoards_init(&local->hoards);
    local->metrics = car_metrics_block(sizeof *local->metrics);
    local->eios = car_eio_table_new();
    local->inflater = car_inflater_new();
    local->deflater = car_deflater_new(DEFLATE_LEVEL);
    local->tls = atomic_load(&net->tls) ? car_tls_desk_new() : NULL;
    int err = car_arrivals_open(&local->arrivals, worker);
    err = atomic_load(&net->tls) && !local->tls ? CAR_ENOMEM : err;
    worker->net = local;
    worker->watches.ready = car_conn_ready;
    if (!local->metrics || !local->eios || !local->inflater || !local->deflater || err) {
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
        car_exchange_free_spares(local);
        car_buf_free(&local->scratch);
        car_eio_table_free(&local->eios);
        car_inflater_free(&local->inflater);
        car_deflater_free(&local->deflater);
        car_tls_desk_free(&local->tls);
        car_arrivals_close(&local->arrivals);
        free(local->metrics);
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

void car_net_hold(const struct car_net_local *local, struct car_held *held, const void *owner, size_t bytes) {
    const struct car_net_owners *owners = local->net ? local->net->owners : NULL;
    if (!owners) {
        return;
    }
    if (held->bytes && held->owner != owner) {
        owners->held(local->worker, held->owner, -(ptrdiff_t)held->bytes);
        held->bytes = 0;
    }
    if (owner && bytes != held->bytes) {
        ptrdiff_t change = (ptrdiff_t)bytes - (ptrdiff_t)held->bytes;
        *held = (struct car_held){.owner = owner, .bytes = bytes};
        owners->held(local->worker, owner, change);
    }
}

unsigned car_net_retry_ms(void) {
    uint32_t random;
    car_random(&random, sizeof random);
    return RETRY_MIN_MS + random % (RETRY_MAX_MS - RETRY_MIN_MS + 1);
}

unsigned car_net_retry_s(void) {
    return (car_net_retry_ms() + 999) / 1000;
}

static void last_of_all(struct car_conn *conns) {
    for (struct car_conn *conn = conns; conn; conn = conn->next) {
        if (conn->ops->last && !conn->closing && !conn->finishing) {
            conn->ops->last(conn);
        }
    }
}

void car_net_end_requests(struct car_worker *worker) {
    last_of_all(car_net_local(worker)->conns);
    last_of_all(car_net_local(worker)->leaving.told);
}

static void close_all(struct car_conn *conns) {
    for (struct car_conn *conn = conns; conn; conn = conn->next) {
        car_conn_close(conn); /* it leaves its list from the loop only */
    }
}

void car_net_abort(struct car_worker *worker) {
    car_net_local(worker)->aborted = true;
    car_arrivals_take_all(&car_net_local(worker)->arrivals);
    car_eio_end_all(worker);
    close_all(car_net_local(worker)->conns);
    close_all(car_net_local(worker)->leaving.told);
}
