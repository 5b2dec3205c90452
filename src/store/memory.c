#include "carillon/store/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/clock.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/repeat.h"
#include "carillon/runtime/worker.h"

#include "memo.h"

/* Batches in a row before the worker's other work gets its turn: others may enqueue as fast as this thread drains. */
#define BATCHES 8

/* What is remembered of the tenant's keys, made with the first. NULL where memory ran out. */
static struct car_memo *memo_of(struct car_tenant *tenant) {
    void **memory = car_drain_memory(tenant);
    if (!*memory) {
        *memory = car_memo_new();
    }
    return *memory;
}

/* Numbers those that are no repeats, and remembers their keys. */
static int store(struct car_log *log, struct car_tenant *tenant, struct car_memo *memo, struct car_publish **batch,
                 size_t count, struct car_reader *reader) {
    int err = car_memo_prepare(memo, batch, count);
    err = err ? err : car_drain_number(log->feed, tenant, batch, count, reader);
    if (err) {
        car_memo_drop_prepared(memo);
    } else {
        car_memo_remember(memo, batch, count);
    }
    return err;
}

/* As car_drain_seal, where some have keys. */
static void seal_once(struct car_log *log, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                      struct car_worker *worker) {
    struct car_memo *memo = memo_of(tenant);
    if (!memo) {
        car_drain_refuse(batch, count, CAR_ENOMEM, worker);
        return;
    }
    int64_t now = car_clock_wall_ms();
    for (size_t i = 0; i < count; i++) {
        if (batch[i]->key) {
            car_memo_recall(memo, batch[i], now);
        }
    }
    size_t fresh = car_repeat_sort(batch, count);
    struct car_publish **others = batch + fresh;
    int err = fresh ? store(log, tenant, memo, batch, fresh, worker->reader) : 0;
    car_repeat_settle(others, count - fresh, err);
    if (err) {
        car_drain_refuse(batch, fresh, err, worker);
    } else if (fresh) {
        car_drain_publish(log->feed, tenant, batch, fresh, worker->reader, worker);
    }
    car_drain_answer(others, count - fresh, worker);
}

static void forget_keys(struct car_tenant *tenant, void *user) {
    void **memory = car_drain_memory(tenant);
    struct car_memo *memo = *memory;
    (void)user;
    *memory = NULL;
    car_memo_free(&memo);
}

/* The tenant was removed. */
static void close_tenant(struct car_tenant *tenant, struct car_worker *worker) {
    do {
        forget_keys(tenant, NULL);
        car_drain_close(tenant, worker->reader, worker);
    } while (car_drain_finish(tenant));
}

static void drain(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker) {
    struct car_publish *batch[CAR_DRAIN_BATCH];
    for (unsigned i = 0; i < BATCHES; i++) {
        size_t n = car_drain_take(log->feed, tenant, worker->reader, batch, CAR_DRAIN_BATCH);
        if (n > 0 && car_repeat_any(batch, n)) {
            seal_once(log, tenant, batch, n, worker);
        } else if (n > 0) {
            car_drain_seal(log->feed, tenant, batch, n, worker->reader, worker);
        }
        if (n < CAR_DRAIN_BATCH && !car_drain_finish(tenant)) {
            return;
        }
        if (car_tenant_is_removed(tenant)) {
            close_tenant(tenant, worker);
            return;
        }
    }
    car_drain_yield(tenant, worker);
}

static void ready(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker) {
    if (car_tenant_is_removed(tenant)) {
        close_tenant(tenant, worker);
    } else {
        drain(log, tenant, worker);
    }
}

/* Whoever changes something does so at once: there is nothing to be waited for. */
static void change(struct car_log *log, struct car_log_change *change) {
    struct car_worker *worker = change->worker;
    struct car_tenant *tenant = change->tenant;
    int err = car_change_prepare(change);
    car_change_settle(log->feed, change, err, worker); /* it may be gone now */
    if (car_tenant_is_removed(tenant) && car_drain_claim(tenant)) {
        close_tenant(tenant, worker);
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
