#include "group.h"

#include <assert.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/account.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/repeat.h"
#include "carillon/runtime/worker.h"

#include "group_health.h"
#include "group_state.h"

/* How long an event that was answered may wait for its commit, timers being up to 20 ms late; and how many may. */
#define RELAXED_MS 70
#define OWED_MAX   CAR_GROUP_OWED
static_assert(OWED_MAX >= EVENTS_MAX + CAR_PUBLISH_MAX, "whatever a transaction may have fits once nothing is owed");

#define TEND_MS 10 /* between two transactions that no event has asked for */

/* What comes from workers. */

static void on_ready(struct car_note *note, void *owner) {
    struct car_drain_seat *seat = (struct car_drain_seat *)note; /* its first member */
    struct car_worker *worker = owner;
    struct car_group *group = car_group_of(seat->log);
    car_group_line_push(&group->ready, seat);
    car_task_defer(&worker->tasks, &group->turn);
}

/* On a worker's thread. */
static void ready(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker) {
    struct car_drain_seat *seat = car_drain_seat(tenant);
    seat->log = log;
    seat->note.run = on_ready;
    car_worker_post(worker, car_group_of(log)->worker, &seat->note);
}

static void on_change(struct car_note *note, void *owner) {
    struct car_log_change *change = (struct car_log_change *)note; /* its first member */
    struct car_worker *worker = owner;
    struct car_group *group = car_group_of(change->log);
    car_group_changes_put(&group->changes, change);
    car_task_defer(&worker->tasks, &group->turn);
}

/* On a worker's thread. */
static void change(struct car_log *log, struct car_log_change *change) {
    change->note.run = on_change;
    car_worker_post(change->worker, car_group_of(log)->worker, &change->note);
}

static void ask(struct car_log *log, struct car_log_ask *ask) {
    car_pages_ask(car_group_of(log)->pages, ask);
}

/* A transaction. */

/* The tenant has had its turn: it gets in line again where there is more of it. */
static void let_go(struct car_group *group, struct car_drain_seat *seat) {
    if (car_drain_finish(seat->tenant)) {
        car_group_line_push(&group->ready, seat);
    }
}

/* Takes what waits at one tenant into the transaction. */
static void take(struct car_group *group, struct car_drain_seat *seat) {
    struct car_group_part part = {.seat = seat, .items = group->items + group->item_count};
    if (car_tenant_is_removed(seat->tenant)) {
        car_drain_close(group->log.feed, seat->tenant, group->worker->reader, group->worker);
        let_go(group, seat);
        return;
    }
    size_t room = EVENTS_MAX - group->event_count;
    room = room < CAR_DRAIN_BATCH ? room : CAR_DRAIN_BATCH;
    part.count = car_drain_take(group->log.feed, seat->tenant, group->worker->reader, group->worker, part.items, room);
    if (part.count == 0) {
        let_go(group, seat);
        return;
    }
    part.fresh = part.count;
    for (size_t i = 0; i < part.count; i++) {
        const struct car_publish *publish = part.items[i];
        for (uint32_t k = 0; k < publish->count; k++) {
            group->bytes += publish->events[k]->size;
        }
        group->event_count += publish->count;
        car_group_keys_ask(&group->keys, part.items[i]);
    }
    group->item_count += part.count;
    group->parts[group->part_count++] = part;
}

static void collect(struct car_group *group) {
    group->part_count = 0;
    group->item_count = 0;
    group->event_count = 0;
    group->stored = 0;
    group->bytes = 0;
    car_group_keys_begin(&group->keys);
    while (group->ready.head && group->event_count < EVENTS_MAX && group->part_count < PARTS_MAX &&
           group->bytes < BYTES_MAX) {
        take(group, car_group_line_pop(&group->ready));
    }
}

static int insert(struct car_group *group, const struct car_publish *publish) {
    int err = 0;
    for (uint32_t i = 0; i < publish->count && !err; i++) {
        err = group->rows->ops->insert(group->rows, publish->events[i]);
    }
    group->stored += publish->count;
    car_group_keys_add(&group->keys, publish);
    return err;
}

/* Numbers and inserts what is no repeat. */
static int insert_part(struct car_group *group, struct car_group_part *part) {
    struct car_tenant *tenant = part->seat->tenant;
    part->fresh = car_repeat_sort(part->items, part->count);
    if (part->fresh == 0) {
        return 0;
    }
    part->err = car_drain_number(group->log.feed, tenant, part->items, part->fresh, group->worker->reader);
    if (part->err) {
        return 0; /* the others can go on */
    }
    const struct car_publish *last = part->items[part->fresh - 1];
    int err = group->rows->ops->tenant(group->rows, tenant, last->events[last->count - 1]->seq);
    for (size_t i = 0; i < part->fresh && !err; i++) {
        err = insert(group, part->items[i]);
    }
    return err;
}

/* Between begin and commit. */
static int insert_parts(struct car_group *group) {
    int64_t now = 0;
    int err = car_group_keys_recall(&group->keys, group->rows);
    for (size_t i = 0; i < group->part_count && !err; i++) {
        struct car_group_part *part = &group->parts[i];
        err = insert_part(group, part);
        now = part->fresh ? part->items[0]->events[0]->wall_ms : now;
    }
    if (!err && group->stored) {
        err = car_group_keys_store(&group->keys, group->rows, now);
    }
    return err;
}

static void settle_part(struct car_group *group, struct car_group_part *part, int err) {
    struct car_worker *worker = group->worker;
    struct car_publish **others = part->items + part->fresh;
    size_t rest = part->count - part->fresh;
    err = err ? err : part->err;
    car_repeat_settle(others, rest, err);
    if (err) {
        car_drain_refuse(part->items, part->fresh, err, worker);
    } else if (part->fresh) {
        car_drain_publish(group->log.feed, part->seat->tenant, part->items, part->fresh, worker->reader, worker);
    }
    car_drain_answer(others, rest, worker);
    let_go(group, part->seat);
}

static void settle(struct car_group *group, int err) {
    for (size_t i = 0; i < group->part_count; i++) {
        settle_part(group, &group->parts[i], err);
    }
}

/* What the store last said. While it says no it is asked from time to time, for publishers may stay away until it is
 * known to be well. */
static void note_health(struct car_group *group, int err) {
    if (car_group_said(&group->log, group->rows, err) && !car_timer_is_set(&group->timer)) {
        car_timer_set(group->worker->wheel, &group->timer, CAR_GROUP_PROBE_MS);
    }
}

/* --durability commit */

static void commit_now(struct car_group *group) {
    const struct car_rows_ops *ops = group->rows->ops;
    int err = ops->begin(group->rows);
    if (!err) {
        err = insert_parts(group);
        bool nothing = !err && group->stored == 0; /* all are repeats: that says nothing about the store's health */
        err = err || nothing ? err : car_group_commit(&group->log, group->rows);
        if (err || nothing) {
            ops->rollback(group->rows);
        } else {
            car_group_count(&group->log, group->stored);
        }
        if (nothing) {
            settle(group, 0);
            return;
        }
    }
    note_health(group, err);
    settle(group, err);
}

/* --durability relaxed */

static void drop(struct car_group *group) {
    group->rows->ops->rollback(group->rows);
    group->open = false;
}

static int reopen(struct car_group *group) {
    int err = group->open ? 0 : group->rows->ops->begin(group->rows);
    if (!err && !group->open) {
        group->open = true;
        err = car_group_insert_owed(&group->owed, group->rows);
        err = err ? err : car_group_keys_store_owed(&group->keys, group->rows);
        if (err) {
            drop(group);
        }
    }
    return err;
}

/* What was owed is committed. */
static void paid(struct car_group *group) {
    group->open = false;
    car_group_count(&group->log, group->owed.count);
    car_group_keys_pay(&group->keys);
    car_group_let_go(&group->owed);
}

/* Commits what is owed. Where that fails it stays owed. */
int car_group_flush(struct car_group *group) {
    int err = reopen(group);
    if (!err) {
        err = car_group_commit(&group->log, group->rows);
        if (err) {
            drop(group);
            return err;
        }
        paid(group);
    }
    return err;
}

static void on_timer(struct car_timer *timer) {
    struct car_group *group = (struct car_group *)((char *)timer - offsetof(struct car_group, timer));
    if (group->owed.count) {
        note_health(group, car_group_flush(group));
    } else if (car_group_is_failing(&group->log)) {
        note_health(group, car_group_probe(group->rows));
    }
}

/* What was inserted is answered before it is committed. */
static void owe(struct car_group *group) {
    for (size_t i = 0; i < group->part_count; i++) {
        const struct car_group_part *part = &group->parts[i];
        for (size_t k = 0; k < part->fresh && !part->err; k++) {
            car_group_owe(&group->owed, part->items[k]);
        }
    }
    car_group_keys_owe(&group->keys);
}

/* Whether the store is still there. */
static void on_look(struct car_timer *timer) {
    struct car_group *group = (struct car_group *)((char *)timer - offsetof(struct car_group, look));
    if (!group->open && !car_group_is_failing(&group->log)) {
        int err = group->rows->ops->begin(group->rows);
        if (!err) {
            group->rows->ops->rollback(group->rows);
        }
        note_health(group, err);
    }
    car_timer_set(group->worker->wheel, timer, CAR_GROUP_PROBE_MS);
}

static void insert_now(struct car_group *group) {
    /* While it fails, nothing more is promised than is owed already: an insert alone may well succeed. */
    bool first_pay =
        (car_group_is_failing(&group->log) && group->owed.count) || group->owed.count + group->event_count > OWED_MAX;
    int err = first_pay ? car_group_flush(group) : 0;
    err = err ? err : reopen(group);
    if (!err) {
        err = insert_parts(group);
        if (!err) {
            owe(group);
        }
        if (err || group->owed.count == 0) {
            drop(group); /* the latter where all are repeats */
        }
    }
    if (err || group->stored) {
        note_health(group, err);
    }
    if (group->owed.count && !car_timer_is_set(&group->timer)) {
        car_timer_set(group->worker->wheel, &group->timer, RELAXED_MS);
    }
    settle(group, err);
}

/* Changes are committed before they are answered, whatever is said of events: what is owed goes with them. */
static void change_now(struct car_group *group) {
    const struct car_rows_ops *ops = group->rows->ops;
    if (!car_group_changes_take(&group->changes, group->log.feed, group->rows, group->worker)) {
        return;
    }
    int err = group->relaxed ? reopen(group) : ops->begin(group->rows);
    if (!err) {
        err = car_group_changes_store(&group->changes, group->rows);
        err = err ? err : car_group_commit(&group->log, group->rows);
        if (err) {
            drop(group);
        } else {
            paid(group);
        }
    }
    note_health(group, err);
    car_group_changes_settle(&group->changes, &group->log, err, group->worker);
}

/* Another process has the store. */
static void refuse_now(struct car_group *group) {
    if (car_group_changes_take(&group->changes, group->log.feed, group->rows, group->worker)) {
        car_group_changes_settle(&group->changes, &group->log, CAR_ESYS, group->worker);
    }
    collect(group);
    settle(group, CAR_ESYS);
}

static void take_turn(struct car_group *group) {
    if (car_group_changes_wait(&group->changes)) {
        change_now(group);
    }
    collect(group);
    if (group->part_count && group->relaxed) {
        insert_now(group);
    } else if (group->part_count) {
        commit_now(group);
    }
}

static void on_turn(struct car_task *task) {
    struct car_group *group = (struct car_group *)((char *)task - offsetof(struct car_group, turn));
    if (group->resting) {
        refuse_now(group);
    } else {
        take_turn(group);
    }
    if (group->ready.head || car_group_changes_wait(&group->changes)) {
        car_task_yield(&group->worker->tasks, task);
    }
}

/* What is done beside. */

struct car_worker *car_group_worker(struct car_log *log) {
    return car_group_of(log)->worker;
}

void car_group_tend(struct car_log *log) {
    struct car_group *group = car_group_of(log);
    if (!group->stopping && !group->resting && !car_timer_is_set(&group->tending)) {
        group->tended = car_group_transactions(&group->log);
        car_timer_set(group->worker->wheel, &group->tending, TEND_MS);
    }
}

/* A transaction that is open, and one that was made meanwhile, have done it; while the store fails, others probe. */
static void on_tending(struct car_timer *timer) {
    struct car_group *group = (struct car_group *)((char *)timer - offsetof(struct car_group, tending));
    if (car_group_transactions(&group->log) != group->tended) {
        car_group_tend(&group->log);
    } else if (!group->open && !car_group_is_failing(&group->log)) {
        note_health(group, car_group_probe(group->rows));
    }
}

/* Life. */

static void on_stop(struct car_note *note, void *owner) {
    struct car_group *group = (struct car_group *)((char *)note - offsetof(struct car_group, stop));
    if (group->owed.count && car_group_flush(group) != 0) {
        car_log_error("store: %zu events that were answered are lost", group->owed.count);
    }
    car_timer_clear(group->worker->wheel, &group->timer);
    car_timer_clear(group->worker->wheel, &group->tending);
    car_timer_clear(group->worker->wheel, &group->look);
    group->stopping = true;
    car_worker_stop(owner);
}

static void group_free(struct car_group *group) {
    car_group_let_go(&group->owed);
    if (group->worker) {
        car_worker_close(&group->worker);
    }
    free(group->log.metrics);
    free(group);
}

static void group_close(struct car_log **log) {
    struct car_group *group = car_group_of(*log);
    car_mailbox_post(&group->worker->mailbox, &group->stop);
    car_worker_join(group->worker);
    *log = NULL; /* its own thread has looked at it until now (car_memory_trims) */
    car_log_info("store: %llu events in %llu transactions",
                 (unsigned long long)car_cell_get(&group->log.metrics->events),
                 (unsigned long long)car_group_transactions(&group->log));
    car_pages_close(&group->pages);
    group->rows->ops->free(group->rows);
    group_free(group);
}

static const struct car_log_ops OPS = {.ready = ready,
                                       .ask = ask,
                                       .change = change,
                                       .close = group_close,
                                       .rest = car_group_rest,
                                       .rests = car_group_rests,
                                       .lock = car_group_lock};

struct car_log *car_group_open(struct car_feed *feed, struct car_reclaim *reclaim, struct car_rows *rows,
                               struct car_pages *pages, bool relaxed) {
    struct car_group *group = calloc(1, sizeof *group);
    struct car_log_metrics *metrics = car_metrics_block(sizeof *metrics);
    if (!group || !metrics) {
        free(group);
        free(metrics);
        return NULL;
    }
    group->log = (struct car_log){.ops = &OPS, .feed = feed, .metrics = metrics};
    group->rows = rows;
    group->pages = pages;
    group->relaxed = relaxed;
    car_group_line_init(&group->ready);
    car_group_changes_init(&group->changes);
    group->stop.run = on_stop;
    car_group_rest_init(group);
    group->turn.run = on_turn;
    group->timer.fire = on_timer;
    group->tending.fire = on_tending;
    group->look.fire = on_look;
    if (car_worker_open(&group->worker, 0, reclaim) != 0) {
        group->worker = NULL;
    } else {
        group->worker->name = "log";
        if (rows->may_go) {
            car_timer_set(group->worker->wheel, &group->look, CAR_GROUP_PROBE_MS);
        }
        if (car_worker_start(group->worker) == 0) {
            return &group->log;
        }
        car_worker_join(group->worker);
    }
    group_free(group);
    return NULL;
}
