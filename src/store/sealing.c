#include "sealing.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/repeat.h"
#include "carillon/runtime/worker.h"

#include "memo.h"

/* Events that are numbered in one go, before others have their turn: some 20 µs of work; and what one costs. Up to
 * CAR_DRAIN_BATCH are numbered at once. */
#define SLICE_EVENTS 128u
#define EVENT_COST   160u

/* What was taken: first what is to be numbered, then the repeats. On the stack, or, in turns, on the heap, with the
 * batch behind it. */
struct sealing {
    struct car_task task; /* first */
    struct car_log *log;
    struct car_tenant *tenant;
    struct car_worker *worker;
    struct car_memo *memo; /* NULL where none has a key */
    struct car_publish **batch;
    size_t fresh, count;
    struct car_numbering numbering;
};

/* What is remembered of the tenant's keys, made with the first. NULL where memory ran out. */
static struct car_memo *memo_of(struct car_tenant *tenant) {
    void **memory = car_drain_memory(tenant);
    if (!*memory) {
        *memory = car_memo_new();
    }
    return *memory;
}

/* Sets the repeats apart. */
static void sort(struct sealing *s) {
    int64_t now = car_clock_wall_ms();
    for (size_t i = 0; i < s->count; i++) {
        if (s->batch[i]->key) {
            car_memo_recall(s->memo, s->batch[i], now);
        }
    }
    s->fresh = car_repeat_sort(s->batch, s->count);
}

/* Makes sure that nothing can fail once events are numbered. */
static int prepare(struct sealing *s) {
    int err = s->memo ? car_memo_prepare(s->memo, s->batch, s->fresh) : 0;
    return err ? err : car_drain_number_begin(s->tenant, s->batch, s->fresh, s->worker->reader, &s->numbering);
}

static bool number_some(struct sealing *s, size_t max) {
    return car_drain_number_some(s->log->feed, s->batch, s->fresh, &s->numbering, max);
}

/* All are numbered, or, with `err`, are not to be. */
static void settle(struct sealing *s, int err) {
    if (s->memo && s->fresh && err) {
        car_memo_drop_prepared(s->memo);
    } else if (s->memo && s->fresh) {
        car_memo_remember(s->memo, s->batch, s->fresh);
    }
    car_repeat_settle(s->batch + s->fresh, s->count - s->fresh, err);
    if (err) {
        car_drain_refuse(s->batch, s->fresh, err, s->worker);
    } else if (s->fresh) {
        car_drain_publish(s->log->feed, s->tenant, s->batch, s->fresh, s->worker->reader, s->worker);
    }
    car_drain_answer(s->batch + s->fresh, s->count - s->fresh, s->worker);
}

/* Turns. */

static void defer(struct sealing *s) {
    struct car_flow *flow = car_flow_of(s->tenant, s->worker);
    car_flow_charge(&s->worker->tasks, flow, (uint64_t)SLICE_EVENTS * EVENT_COST);
    car_flow_defer(&s->worker->tasks, flow, &s->task);
}

static void on_turn(struct car_task *task) {
    struct sealing *s = (struct sealing *)task; /* its first member */
    struct car_log *log = s->log;
    struct car_tenant *tenant = s->tenant;
    struct car_worker *worker = s->worker;
    bool removed = car_tenant_is_removed(tenant);
    if (!removed && !number_some(s, SLICE_EVENTS)) {
        defer(s);
        return;
    }
    settle(s, removed ? CAR_ECLOSED : 0);
    free(s);
    if (car_drain_finish(tenant)) {
        log->ops->ready(log, tenant, worker);
    }
}

/* false where there is no memory: then it is numbered at once. */
static bool go_on_in_turns(const struct sealing *s) {
    struct sealing *kept = malloc(sizeof *kept + s->count * sizeof(struct car_publish *));
    if (!kept) {
        return false;
    }
    *kept = *s;
    kept->task.run = on_turn;
    kept->batch = (struct car_publish **)(kept + 1);
    memcpy(kept->batch, s->batch, s->count * sizeof(struct car_publish *));
    (void)number_some(kept, SLICE_EVENTS);
    defer(kept);
    return true;
}

bool car_seal(struct car_log *log, struct car_tenant *tenant, struct car_publish **batch, size_t count,
              struct car_worker *worker) {
    bool keyed = car_repeat_any(batch, count);
    bool many = car_drain_count(batch, count) > CAR_DRAIN_BATCH;
    if (!keyed && !many) {
        car_drain_seal(log->feed, tenant, batch, count, worker->reader, worker);
        return true;
    }
    struct sealing s = {.log = log, .tenant = tenant, .worker = worker, .batch = batch, .fresh = count, .count = count};
    if (keyed) {
        s.memo = memo_of(tenant);
        if (!s.memo) {
            car_drain_refuse(batch, count, CAR_ENOMEM, worker);
            return true;
        }
        sort(&s);
    }
    int err = s.fresh ? prepare(&s) : 0;
    if (!err && car_drain_count(batch, s.fresh) > CAR_DRAIN_BATCH && go_on_in_turns(&s)) {
        return false;
    }
    if (!err && s.fresh) {
        (void)number_some(&s, SIZE_MAX);
    }
    settle(&s, err);
    return true;
}
