#include "carillon/feed/drain.h"

#include <assert.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/log.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/publish.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "inlet.h"
#include "lane.h"
#include "tenant_state.h"

bool car_drain_claim(struct car_tenant *tenant) {
    return !atomic_exchange(&tenant->draining, true);
}

bool car_drain_finish(struct car_tenant *tenant) {
    assert(!tenant->first);
    bool closed = tenant->closed;
    /* An exchange, not a store: it acquires what a publisher wrote before its claim failed. */
    atomic_exchange(&tenant->draining, false);
    bool to_close = !closed && atomic_load(&tenant->removed); /* who has removed it may have failed to claim it */
    bool more = car_inlet_is_used(tenant) && !atomic_load(&tenant->stalled);
    return (more || to_close) && car_drain_claim(tenant);
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
    car_flow_defer(&worker->tasks, car_flow_of(tenant, worker), &tenant->drain_task);
}

/* Looks how far the slowest lane has come. */
static void look_at_lanes(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader) {
    uint64_t newest = car_history_newest(&tenant->history);
    car_reader_enter(reader);
    tenant->floor = car_lanes_floor(tenant, feed->worker_count, newest);
    car_reader_leave(reader);
}

/* How many events may be numbered before the slowest lane is as far behind as it may be. A batch that begins below that
 * may end above it: the history then holds so many more. */
static uint64_t room(const struct car_tenant *tenant) {
    uint64_t lag = car_history_newest(&tenant->history) - tenant->floor;
    return lag < CAR_LANE_LAG_MAX ? CAR_LANE_LAG_MAX - lag : 0;
}

/* Where the thread counts: a worker's, or the log's; NULL where it is neither. */
static struct car_drain_metrics *metrics_of(const struct car_feed *feed, const struct car_worker *self) {
    if (self && self->feed) {
        return &car_feed_local(self->feed)->metrics->drain;
    }
    return feed->log->metrics ? &feed->log->metrics->drain : NULL;
}

static void count_history(const struct car_feed *feed, const struct car_worker *self, uint64_t change) {
    struct car_drain_metrics *metrics = change ? metrics_of(feed, self) : NULL;
    if (metrics) {
        car_cell_add(&metrics->history, change);
    }
}

/* Forgets what stands before `seq`. Returns how many bytes that were. */
static uint64_t forget(struct car_tenant *tenant, struct car_reader *reader, uint64_t seq) {
    size_t bytes = car_history_forget(&tenant->history, reader, seq);
    car_memory_count(tenant, -(int64_t)bytes);
    return bytes;
}

/* Forgets more than that, as long as the tenant's memory is short. The sessions, which had to wait for it, are called
 * where it has not sufficed. */
static uint64_t trim_more(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                          struct car_worker *self) {
    uint64_t end = car_history_newest(&tenant->history) + 1;
    uint64_t first = car_history_oldest(&tenant->history);
    uint64_t last = end > CAR_MEMORY_EVENTS ? end - CAR_MEMORY_EVENTS : 0;
    uint64_t seq = first;
    uint64_t bytes = 0;
    last = last <= tenant->floor ? last : tenant->floor + 1;
    for (; seq < last && car_memory_trims(feed, tenant); seq++) {
        bytes += forget(tenant, reader, seq + 1);
    }
    struct car_drain_metrics *metrics = metrics_of(feed, self);
    if (metrics) {
        car_cell_add(&metrics->trimmed, seq - first);
    }
    if (seq > first && car_memory_excess(feed, tenant) && !car_memory_has_history(feed, tenant)) {
        car_memory_press(feed, tenant, reader, self);
    }
    return bytes;
}

/* Forgets what is neither to be kept nor waited for by a lane. Returns how many bytes that were. */
static uint64_t trim(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                     struct car_worker *self) {
    uint64_t newest = car_history_newest(&tenant->history);
    uint64_t count = car_feed_keep(feed, tenant);
    uint64_t keep = newest >= count ? newest - count + 1 : 1;
    keep = keep <= tenant->floor ? keep : tenant->floor + 1;
    uint64_t bytes = forget(tenant, reader, keep);
    return car_memory_trims(feed, tenant) ? bytes + trim_more(feed, tenant, reader, self) : bytes;
}

/* Whether more events may be numbered; otherwise the tenant says that it waits for a lane. */
static bool has_room(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader) {
    if (room(tenant) == 0) {
        /* Look again after saying that we wait: a lane that moved on in between has not seen us. */
        atomic_store(&tenant->stalled, true);
        look_at_lanes(feed, tenant, reader);
        if (room(tenant) == 0) {
            return false;
        }
        atomic_store(&tenant->stalled, false);
    }
    return true;
}

static uint64_t bytes_of(const struct car_publish *publish) {
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < publish->count; k++) {
        bytes += car_event_json(publish->events[k]).len;
    }
    return bytes;
}

static void done(struct car_publish *publish, struct car_worker *self) {
    struct car_feed_local *local = car_feed_local(self->feed);
    if (publish->status == 0 && !publish->replayed) {
        car_cell_add(&local->metrics->published, publish->count);
        car_cell_add(&local->metrics->published_bytes, bytes_of(publish));
    }
    car_cell_add(&local->metrics->queued, -(uint64_t)publish->bytes);
    publish->done(publish);
    car_feed_publishing(local, -1);
}

static void on_done(struct car_note *note, void *owner) {
    done((struct car_publish *)((char *)note - offsetof(struct car_publish, note)), owner);
}

static void answer(struct car_publish *publish, struct car_worker *self) {
    publish->note.run = on_done;
    if (publish->worker == self) {
        done(publish, self);
    } else if (self) {
        car_worker_post(self, publish->worker, &publish->note);
    } else {
        car_mailbox_post(&publish->worker->mailbox, &publish->note);
    }
}

/* Nothing may be numbered now: who was to go first waits with the others. */
static void first_waits(struct car_tenant *tenant) {
    struct car_publish *first = tenant->first;
    tenant->first = NULL;
    if (first) {
        first->status = car_inlet_put(tenant, first);
        if (first->status) {
            car_memory_count(tenant, -(int64_t)first->bytes);
            first->note.run = on_done;
            car_mailbox_post(&first->worker->mailbox, &first->note);
        }
    }
}

size_t car_drain_take(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                      struct car_worker *self, struct car_publish **batch, size_t max) {
    if (room(tenant) < max) {
        look_at_lanes(feed, tenant, reader); /* they have moved on since they were last looked at, as a rule */
    }
    if (!has_room(feed, tenant, reader)) {
        first_waits(tenant);
        return 0;
    }
    size_t n = 0;
    size_t events = 0;
    if (tenant->first) {
        batch[n++] = tenant->first;
        events = tenant->first->count;
        tenant->first = NULL;
    }
    max = max < room(tenant) ? max : (size_t)room(tenant);
    n += events < max ? car_inlet_take(tenant, batch + n, max - events) : 0;
    if (n == 0) {
        look_at_lanes(feed, tenant, reader);
        /* What a lane was waited for, after a burst. */
        count_history(feed, self, -trim(feed, tenant, reader, self));
    }
    return n;
}

size_t car_drain_count(struct car_publish *const *batch, size_t count) {
    size_t events = 0;
    for (size_t i = 0; i < count; i++) {
        events += batch[i]->count;
    }
    return events;
}

/* The one place where events are sealed, and so inlined into it. Returns the last seq. */
__attribute__((noinline)) static uint64_t seal(const struct car_feed *feed, struct car_event **events, uint32_t count,
                                               uint64_t seq, int64_t now_ms) {
    for (uint32_t k = 0; k < count; k++) {
        car_event_seal(events[k], ++seq, now_ms, &feed->id_key);
    }
    return seq;
}

int car_drain_number_begin(struct car_tenant *tenant, struct car_publish *const *batch, size_t count,
                           struct car_reader *reader, struct car_numbering *numbering) {
    *numbering = (struct car_numbering){.now_ms = car_clock_wall_ms(), .seq = car_history_newest(&tenant->history)};
    return car_history_reserve(&tenant->history, reader, car_drain_count(batch, count));
}

bool car_drain_number_some(const struct car_feed *feed, struct car_publish *const *batch, size_t count,
                           struct car_numbering *n, size_t max) {
    while (n->at < count && max > 0) {
        const struct car_publish *publish = batch[n->at];
        uint32_t left = publish->count - n->event;
        uint32_t some = left < max ? left : (uint32_t)max;
        n->seq = seal(feed, publish->events + n->event, some, n->seq, n->now_ms);
        n->event = some < left ? n->event + some : 0;
        n->at += some == left;
        max -= some;
    }
    return n->at == count;
}

int car_drain_number(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                     struct car_reader *reader) {
    int64_t now = car_clock_wall_ms();
    uint64_t seq = car_history_newest(&tenant->history);
    if (car_history_reserve(&tenant->history, reader, car_drain_count(batch, count)) != 0) {
        return CAR_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        seq = seal(feed, batch[i]->events, batch[i]->count, seq, now);
    }
    return 0;
}

/* Answers those whose events do not come into the history. */
void car_drain_answer(struct car_publish **others, size_t count, struct car_worker *self) {
    for (size_t i = 0; i < count; i++) {
        car_memory_count(others[i]->tenant, -(int64_t)others[i]->bytes);
        answer(others[i], self);
    }
}

void car_drain_refuse(struct car_publish **batch, size_t count, int status, struct car_worker *self) {
    for (size_t i = 0; i < count; i++) {
        batch[i]->status = status;
    }
    car_drain_answer(batch, count, self);
}

void car_drain_close(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                     struct car_worker *self) {
    struct car_publish *batch[CAR_DRAIN_BATCH];
    size_t n = 0;
    atomic_store(&tenant->stalled, false);
    if (tenant->first) {
        batch[n++] = tenant->first;
        tenant->first = NULL;
    }
    car_drain_refuse(batch, n, CAR_ECLOSED, self);
    while ((n = car_inlet_take(tenant, batch, CAR_DRAIN_BATCH)) > 0) {
        car_drain_refuse(batch, n, CAR_ECLOSED, self);
    }
    car_tenant_forget(tenant, car_tenant_newest(tenant));
    uint64_t bytes = car_history_drop(&tenant->history, reader);
    car_memory_count(tenant, -(int64_t)bytes);
    count_history(feed, self, -bytes);
    tenant->closed = true;
}

/* Puts the events into the history. Returns how many they are, and `size` what they take; the first of them come to
 * stand in `piece`. */
static size_t append(struct car_tenant *tenant, struct car_publish **batch, size_t count, struct car_reader *reader,
                     struct car_event *piece[CAR_DRAIN_BATCH], uint64_t *size) {
    size_t events = 0;
    uint64_t bytes = 0;
    *size = 0;
    uint32_t now = (uint32_t)car_turn_us();
    for (size_t i = 0; i < count; i++) {
        struct car_publish *publish = batch[i];
        publish->status = 0;
        *size += publish->bytes;
        for (uint32_t k = 0; k < publish->count; k++) {
            struct car_event *event = publish->events[k];
            event->came_us = now;
            bytes += car_event_json(event).len;
            int err = car_history_append(&tenant->history, reader, car_event_ref(event));
            assert(err == 0); /* there is room for it since it was numbered */
            (void)err;
            if (events < CAR_DRAIN_BATCH) {
                piece[events] = event;
            }
            events++;
        }
    }
    car_cell_add(&tenant->published, events);
    car_cell_add(&tenant->published_bytes, bytes);
    return events;
}

/* Offers the events to the lanes, piece by piece. Inside of a section of the reader. */
static struct car_lane *offer(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch,
                              size_t count, struct car_event *events[CAR_DRAIN_BATCH], struct car_worker *self) {
    struct car_lane *own = NULL;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < batch[i]->count; k++) {
            if (n == CAR_DRAIN_BATCH) {
                own = car_lanes_put(tenant, feed->worker_count, events, n, self);
                n = 0;
            }
            events[n++] = batch[i]->events[k];
        }
    }
    return n ? car_lanes_put(tenant, feed->worker_count, events, n, self) : own;
}

void car_drain_publish(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                       struct car_reader *reader, struct car_worker *self) {
    assert(count > 0 && count <= CAR_DRAIN_BATCH);
    struct car_event *piece[CAR_DRAIN_BATCH];
    uint64_t size;
    size_t events = append(tenant, batch, count, reader, piece, &size);
    car_rate_add(&tenant->rate, batch[0]->events[0]->wall_ms, (unsigned)events);
    car_reader_enter(reader); /* a full fence: see car_lane_get */
    struct car_lane *own = events <= CAR_DRAIN_BATCH ? car_lanes_put(tenant, feed->worker_count, piece, events, self)
                                                     : offer(feed, tenant, batch, count, piece, self);
    tenant->floor = car_lanes_floor(tenant, feed->worker_count, car_history_newest(&tenant->history));
    car_reader_leave(reader);
    count_history(feed, self, size - trim(feed, tenant, reader, self));
    /* Those who wait for an answer have it before this thread fans out: it is one write, and that may be a thousand. */
    for (size_t i = 0; i < count; i++) {
        answer(batch[i], self);
    }
    if (own) {
        car_lane_wake(own);
    }
}

void car_drain_seal(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                    struct car_reader *reader, struct car_worker *self) {
    int err = car_drain_number(feed, tenant, batch, count, reader);
    if (err) {
        car_drain_refuse(batch, count, err, self);
    } else {
        car_drain_publish(feed, tenant, batch, count, reader, self);
    }
}

void **car_drain_memory(struct car_tenant *tenant) {
    return &tenant->drain_memory;
}

struct car_drain_seat *car_drain_seat(struct car_tenant *tenant) {
    tenant->seat.tenant = tenant;
    return &tenant->seat;
}
