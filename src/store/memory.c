#include "carillon/store/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/runtime/worker.h"

/* Batches in a row before the worker's other work gets its turn: others may enqueue as fast as this thread drains. */
#define BATCHES 8

static void ready(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker) {
    struct car_publish *batch[CAR_DRAIN_BATCH];
    for (unsigned i = 0; i < BATCHES; i++) {
        size_t n = car_drain_take(log->feed, tenant, worker->reader, batch, CAR_DRAIN_BATCH);
        if (n > 0) {
            car_drain_seal(log->feed, tenant, batch, n, worker->reader, worker);
        }
        if (n < CAR_DRAIN_BATCH && !car_drain_finish(tenant)) {
            return;
        }
    }
    car_drain_yield(tenant, worker);
}

static void close_log(struct car_log **log) {
    free(*log);
    *log = NULL;
}

static const struct car_log_ops OPS = {.ready = ready, .close = close_log};

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
