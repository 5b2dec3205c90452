#include "carillon/store/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/feed/account.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/runtime/worker.h"

#include "memo.h"
#include "sealing.h"

/* Batches in a row before the worker's other work gets its turn: others may enqueue as fast as this thread drains. */
#define BATCHES 4

static void forget_keys(struct car_tenant *tenant, void *user) {
    void **memory = car_drain_memory(tenant);
    struct car_memo *memo = *memory;
    (void)user;
    *memory = NULL;
    car_memo_free(&memo);
}

/* The tenant was removed. */
static void close_tenant(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker) {
    do {
        forget_keys(tenant, NULL);
        car_drain_close(log->feed, tenant, worker->reader, worker);
    } while (car_drain_finish(tenant));
}

static void drain(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker) {
    struct car_publish *batch[CAR_DRAIN_BATCH];
    for (unsigned i = 0; i < BATCHES; i++) {
        size_t n = car_drain_take(log->feed, tenant, worker->reader, worker, batch, CAR_DRAIN_BATCH);
        if (n > 0 && !car_seal(log, tenant, batch, n, worker)) {
            return; /* it goes on in turns */
        }
        if (n < CAR_DRAIN_BATCH && !car_drain_finish(tenant)) {
            return;
        }
        if (car_tenant_is_removed(tenant)) {
            close_tenant(log, tenant, worker);
            return;
        }
    }
    car_drain_yield(tenant, worker);
}

static void ready(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker) {
    if (car_tenant_is_removed(tenant)) {
        close_tenant(log, tenant, worker);
    } else {
        drain(log, tenant, worker);
    }
}

/* There is nothing to be waited for, but one thread alone makes changes. */
static void change_now(struct car_log *log, struct car_log_change *change, struct car_worker *worker) {
    struct car_tenant *tenant = change->tenant;
    int err = car_change_prepare(change, NULL);
    car_change_settle(log->feed, change, err, worker); /* it may be gone now */
    if (car_tenant_is_removed(tenant) && car_drain_claim(tenant)) {
        close_tenant(log, tenant, worker);
    }
}

static void on_change(struct car_note *note, void *owner) {
    struct car_log_change *change = (struct car_log_change *)note; /* its first member */
    change_now(change->log, change, owner);
}

static void change(struct car_log *log, struct car_log_change *change) {
    struct car_worker *writer = log->feed->workers[0];
    if (change->worker == writer) {
        change_now(log, change, writer);
    } else {
        change->note.run = on_change;
        car_worker_post(change->worker, writer, &change->note);
    }
}

static void close_log(struct car_log **log) {
    car_registry_each((*log)->feed->registry, forget_keys, NULL);
    car_registry_each_removed((*log)->feed->registry, forget_keys, NULL);
    free(*log);
    *log = NULL;
}

static const struct car_log_ops OPS = {.ready = ready, .change = change, .close = close_log};

struct car_log *car_log_memory(struct car_feed *feed) {
    struct car_log *log = calloc(1, sizeof *log);
    if (log) {
        log->ops = &OPS;
        log->feed = feed;
        uint64_t epoch;
        car_random(&epoch, sizeof epoch);
        car_random(&feed->id_key, sizeof feed->id_key);
        snprintf(feed->epoch, sizeof feed->epoch, "%016llx", (unsigned long long)epoch);
    }
    return log;
}
