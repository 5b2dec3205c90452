#include "carillon/feed/drain.h"

#include "carillon/base/clock.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/ring.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "tenant_state.h"

bool car_drain_claim(struct car_tenant *tenant) {
    return !atomic_exchange(&tenant->draining, true);
}

bool car_drain_finish(struct car_tenant *tenant) {
    /* An exchange, not a store: it acquires what a publisher wrote before its claim failed. */
    atomic_exchange(&tenant->draining, false);
    struct car_ring *inlet = atomic_load_explicit(&tenant->inlet, memory_order_acquire);
    return car_ring_count(inlet) > 0 && !atomic_load(&tenant->stalled) && car_drain_claim(tenant);
}

static void on_yielded(struct car_task *task) {
    struct car_tenant *tenant = (struct car_tenant *)((char *)task - offsetof(struct car_tenant, drain_task));
    struct car_worker *worker = tenant->drain_worker;
    struct car_log *log = car_feed_local(worker->feed)->feed->log;
    log->ops->ready(log, tenant, worker);
}

void car_drain_yield(struct car_tenant *tenant, struct car_worker *worker) {
    tenant->drain_task.run = on_yielded;
    tenant->drain_worker = worker;
    car_task_yield(&worker->tasks, &tenant->drain_task);
}

/* How far the slowest lane has come. */
static uint64_t floor_of(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader) {
    uint64_t newest = car_history_newest(&tenant->history);
    car_reader_enter(reader);
    uint64_t floor = car_lanes_floor(tenant, feed->worker_count, newest);
    car_reader_leave(reader);
    return floor;
}

/* How many events may be numbered before that lane would miss some. */
static uint64_t room_above(const struct car_tenant *tenant, uint64_t floor) {
    uint64_t lag = car_history_newest(&tenant->history) - floor;
    return lag < CAR_LANE_LAG_MAX ? CAR_LANE_LAG_MAX - lag : 0;
}

/* Forgets what is neither to be kept nor waited for by a lane. */
static void trim(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader, uint64_t floor) {
    uint64_t newest = car_history_newest(&tenant->history);
    uint64_t keep = newest >= feed->keep ? newest - feed->keep + 1 : 1;
    car_history_forget(&tenant->history, reader, keep <= floor ? keep : floor + 1);
}

size_t car_drain_take(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                      struct car_publish **batch, size_t max) {
    uint64_t floor = floor_of(feed, tenant, reader);
    if (room_above(tenant, floor) == 0) {
        /* Look again after saying that we wait: a lane that moved on in between has not seen us. */
        atomic_store(&tenant->stalled, true);
        floor = floor_of(feed, tenant, reader);
        if (room_above(tenant, floor) == 0) {
            return 0;
        }
        atomic_store(&tenant->stalled, false);
    }
    struct car_ring *inlet = atomic_load_explicit(&tenant->inlet, memory_order_acquire);
    uint64_t room = room_above(tenant, floor);
    max = max < room ? max : (size_t)room;
    size_t n = 0;
    while (n < max && (batch[n] = car_ring_take_mpsc(inlet))) {
        n++;
    }
    if (n == 0) {
        trim(feed, tenant, reader, floor); /* what a lane was waited for, after a burst */
    }
    return n;
}

static void done(struct car_publish *publish, struct car_worker *self) {
    struct car_feed_local *local = car_feed_local(self->feed);
    publish->done(publish);
    car_feed_publishing(local, -1);
}

static void on_done(struct car_note *note, void *owner) {
    done((struct car_publish *)((char *)note - offsetof(struct car_publish, note)), owner);
}

static void answer(struct car_publish *publish, struct car_worker *self) {
    if (publish->worker == self) {
        done(publish, self);
    } else {
        publish->note.run = on_done;
        car_mailbox_post(&publish->worker->mailbox, &publish->note);
    }
}

/* Numbers the batch and stores it in the history; `events` gets those that made it. */
static size_t number(struct car_tenant *tenant, struct car_publish **batch, size_t count, struct car_reader *reader,
                     struct car_event **events) {
    int64_t now = car_clock_wall_ms();
    uint64_t seq = car_history_newest(&tenant->history);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct car_event *event = batch[i]->event;
        car_event_seal(event, seq + 1, now);
        batch[i]->status = car_history_append(&tenant->history, reader, event);
        if (batch[i]->status == 0) {
            events[n++] = car_event_ref(event); /* the history has taken the publisher's reference */
            seq++;
        }
    }
    car_rate_add(&tenant->rate, now, (unsigned)n);
    return n;
}

void car_drain_seal(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                    struct car_reader *reader, struct car_worker *self) {
    struct car_event *events[CAR_DRAIN_BATCH];
    size_t n = number(tenant, batch, count, reader, events);
    uint64_t newest = car_history_newest(&tenant->history);
    car_reader_enter(reader); /* a full fence: see car_lane_get */
    car_lanes_put(tenant, feed->worker_count, events, n, self);
    uint64_t floor = car_lanes_floor(tenant, feed->worker_count, newest);
    car_reader_leave(reader);
    trim(feed, tenant, reader, floor);
    for (size_t i = 0; i < count; i++) {
        answer(batch[i], self);
    }
}
