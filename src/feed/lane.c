#include "lane.h"

#include <assert.h>
#include <stdlib.h>

#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/log.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/ring.h"
#include "carillon/feed/traffic.h"
#include "carillon/feed/wire.h"
#include "carillon/runtime/worker.h"

#include "fanout.h"
#include "shed.h"
#include "tenant_state.h"

/* Events that are fanned out in one go: at most so many, and no more after so many bytes. */
#define ROUND       128
#define ROUND_BYTES (128u << 10)

/* What it costs to offer something to a session. */
#define OFFER_COST 64

static void lane_free(struct car_lane *lane) {
    struct car_event *event;
    while ((event = car_ring_take_spsc(lane->ring))) {
        car_event_unref(&event);
    }
    car_ring_free(&lane->ring);
    free(lane);
}

/* No drainer holds the lane any more. One that did may have posted the note, which then frees it. */
static void on_reclaimed(struct car_retired *retired) {
    struct car_lane *lane = (struct car_lane *)retired; /* its first member */
    lane->reclaimed = true;
    if (!atomic_load_explicit(&lane->woken, memory_order_acquire)) {
        lane_free(lane);
    }
}

static void on_note(struct car_note *note, void *owner) {
    struct car_lane *lane = (struct car_lane *)((char *)note - offsetof(struct car_lane, note));
    (void)owner;
    if (lane->reclaimed) {
        lane_free(lane);
        return;
    }
    atomic_exchange(&lane->woken, false);
    if (!lane->gone) {
        car_lane_wake(lane);
    }
}

/* Takes what the ring has of the next events, up to a hole. */
static size_t take(struct car_lane *lane, struct car_event **events, size_t max) {
    size_t n = 0;
    size_t bytes = 0;
    bool hole = false;
    struct car_event *event = NULL;
    atomic_exchange_explicit(&lane->filled, false, memory_order_acquire);
    while (n < max && bytes < ROUND_BYTES && !hole && (event = car_ring_take_spsc(lane->ring))) {
        if (event->seq == lane->position + n + 1) {
            bytes += event->size;
            events[n++] = event;
        } else {
            hole = event->seq > lane->position + n + 1;
            car_event_unref(&event);
        }
    }
    if (atomic_load_explicit(&lane->overflowed, memory_order_relaxed)) {
        atomic_store_explicit(&lane->overflowed, false, memory_order_relaxed);
        car_cell_add(&car_feed_local(lane->worker->feed)->metrics->overflows, 1);
    }
    if (n == max || bytes >= ROUND_BYTES || hole) {
        atomic_store_explicit(&lane->filled, true, memory_order_relaxed); /* there may be more */
    }
    return n;
}

/* The next events in order, without a hole: from the ring, or, where that has none of them, from the history. */
static size_t collect(struct car_lane *lane, struct car_event **events, size_t max, bool *rung) {
    size_t n = atomic_load_explicit(&lane->filled, memory_order_acquire) ? take(lane, events, max) : 0;
    *rung = n > 0;
    if (n == 0 && lane->position < car_history_newest(&lane->tenant->history)) {
        n = car_history_read(&lane->tenant->history, lane->worker->reader, lane->position + 1, events, max);
    }
    return n;
}

/* What the history has is read again where it is too much for one go; what the ring has given is not. */
static void round_of(struct car_lane *lane) {
    struct car_event *events[ROUND];
    bool rung = false;
    size_t n = collect(lane, events, ROUND, &rung);
    size_t upto = rung || n == 0 ? n : car_wire_cut(events, n, ROUND_BYTES);
    for (size_t at = 0, take; at < upto; at += take) {
        take = car_wire_cut(events + at, upto - at, ROUND_BYTES);
        car_fanout(lane, events + at, take);
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += i < upto ? events[i]->size : 0;
        car_event_unref(&events[i]);
    }
    if (n > 0) {
        car_flow_charge(&lane->worker->tasks, lane->flow, bytes + (uint64_t)lane->sessions * OFFER_COST);
    }
}

/* Lets a drainer that waits for this lane go on. Sequentially consistent on both sides: either it sees the new
 * position, or we see that it waits. And what a burst left in the history for this lane is let go. */
static void consumed(struct car_lane *lane) {
    struct car_tenant *tenant = lane->tenant;
    struct car_feed *feed = car_feed_local(lane->worker->feed)->feed;
    atomic_store(&lane->consumed, lane->position);
    bool waited_for = atomic_load(&tenant->stalled) && atomic_exchange(&tenant->stalled, false);
    uint64_t newest = car_history_newest(&tenant->history);
    uint64_t held = newest + 1 - car_history_oldest(&tenant->history);
    bool too_much = (held > car_feed_keep(feed, tenant) || car_memory_trims(feed, tenant)) && lane->position >= newest;
    if ((waited_for || too_much) && car_drain_claim(tenant)) {
        feed->log->ops->ready(feed->log, tenant, lane->worker);
    }
}

static void on_task(struct car_task *task) {
    struct car_lane *lane = (struct car_lane *)((char *)task - offsetof(struct car_lane, task));
    round_of(lane);
    bool more = atomic_load_explicit(&lane->filled, memory_order_relaxed) ||
                lane->position < car_history_newest(&lane->tenant->history);
    if (car_shed(lane) || more) {
        car_lane_wake(lane); /* when what its sessions have put off has been done */
    }
    consumed(lane); /* last: it may drain, and publishers may be answered */
}

/* Where a tenant's lanes hang, one for each worker. */
static _Atomic(struct car_lanes *) *lanes_of(struct car_tenant *tenant) {
#ifdef CARILLON_MUTATION_FANOUT /* test/CMakeLists.txt: the tests of isolation have to notice */
    static _Atomic(struct car_lanes *) everybodys;
    return tenant ? &everybodys : NULL;
#else
    return &tenant->lanes;
#endif
}

static _Atomic(struct car_lane *) *slot_of(struct car_tenant *tenant, struct car_worker *worker) {
    struct car_lanes *lanes = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    if (!lanes) {
        size_t slots = car_feed_local(worker->feed)->feed->worker_count * sizeof lanes->of[0];
        struct car_lanes *fresh = calloc(1, sizeof *fresh + slots);
        if (!fresh) {
            return NULL;
        }
        if (atomic_compare_exchange_strong(lanes_of(tenant), &lanes, fresh)) {
            lanes = fresh;
        } else {
            free(fresh);
        }
    }
    return &lanes->of[worker->id];
}

static struct car_lane *lane_new(struct car_worker *worker, struct car_tenant *tenant) {
    struct car_lane *lane = calloc(1, sizeof *lane);
    struct car_ring *ring = car_ring_new(CAR_LANE_SLOTS);
    if (!lane || !ring) {
        free(lane);
        if (ring) {
            car_ring_free(&ring);
        }
        return NULL;
    }
    lane->tenant = tenant;
    lane->worker = worker;
    lane->flow = car_flow_of(tenant, worker);
    lane->waiting = (struct car_link){&lane->waiting, &lane->waiting};
    lane->ring = ring;
    lane->note.run = on_note;
    lane->task.run = on_task;
    lane->position = car_history_newest(&tenant->history);
    atomic_init(&lane->consumed, lane->position);
    return lane;
}

static void enlist(struct car_lane *lane) {
    struct car_feed_local *local = car_feed_local(lane->worker->feed);
    lane->next = local->lanes;
    lane->pprev = &local->lanes;
    if (lane->next) {
        lane->next->pprev = &lane->next;
    }
    local->lanes = lane;
}

static void unlist(struct car_lane *lane) {
    *lane->pprev = lane->next;
    if (lane->next) {
        lane->next->pprev = lane->pprev;
    }
}

struct car_lane *car_lane_get(struct car_worker *worker, struct car_tenant *tenant) {
    _Atomic(struct car_lane *) *slot = slot_of(tenant, worker);
    if (!slot) {
        return NULL;
    }
    struct car_lane *lane = atomic_load_explicit(slot, memory_order_relaxed);
    if (!lane) {
        lane = lane_new(worker, tenant);
        if (!lane) {
            return NULL;
        }
        enlist(lane);
        atomic_store_explicit(slot, lane, memory_order_release);
        /* Entering is a full fence, and a drainer enters between numbering events and looking for lanes: either it
         * finds this lane, or we find its events, and nobody here has asked for them. */
        car_reader_enter(worker->reader);
        car_reader_leave(worker->reader);
        lane->position = car_history_newest(&tenant->history);
        consumed(lane);
    }
    return lane;
}

struct car_lane *car_lane_find(struct car_tenant *tenant, struct car_worker *worker) {
    struct car_lanes *lanes = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    return lanes ? atomic_load_explicit(&lanes->of[worker->id], memory_order_relaxed) : NULL;
}

void car_lane_drop(struct car_lane *lane) {
    struct car_tenant *tenant = lane->tenant;
    struct car_lanes *lanes = atomic_load_explicit(lanes_of(tenant), memory_order_relaxed);
    atomic_store_explicit(&lanes->of[lane->worker->id], NULL, memory_order_release);
    atomic_fetch_add_explicit(&lanes->delivered, car_cell_get(&lane->delivered), memory_order_release);
    atomic_fetch_add_explicit(&lanes->delivered_bytes, car_cell_get(&lane->delivered_bytes), memory_order_release);
    lane->gone = true;
    unlist(lane);
    car_task_cancel(&lane->worker->tasks, &lane->task);
    car_reader_retire(lane->worker->reader, &lane->retired, on_reclaimed);
    /* A drainer may be waiting for this lane alone. */
    lane->position = UINT64_MAX;
    consumed(lane);
}

static void put(struct car_lane *lane, struct car_event *const *events, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!car_ring_put_spsc(lane->ring, car_event_ref(events[i]))) {
            struct car_event *refused = events[i];
            car_event_unref(&refused);
            atomic_store_explicit(&lane->overflowed, true, memory_order_relaxed);
            break;
        }
    }
    atomic_store_explicit(&lane->filled, true, memory_order_release);
}

/* Wakes the lane's worker; `self` is the calling one, or NULL. */
static void call(struct car_lane *lane, struct car_worker *self) {
    if (atomic_exchange(&lane->woken, true)) {
        return;
    }
    if (self) {
        car_worker_post(self, lane->worker, &lane->note);
    } else {
        car_mailbox_post(&lane->worker->mailbox, &lane->note);
    }
}

struct car_lane *car_lanes_put(struct car_tenant *tenant, unsigned worker_count, struct car_event *const *events,
                               size_t count, struct car_worker *self) {
    struct car_lane *own = NULL;
    struct car_lanes *lanes = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    for (unsigned i = 0; lanes && i < worker_count; i++) {
        struct car_lane *lane = atomic_load_explicit(&lanes->of[i], memory_order_acquire);
        if (!lane) {
            continue;
        }
        if (lane->worker == self) {
            own = lane; /* it reads from the history, where these are still warm */
            continue;
        }
        put(lane, events, count);
        call(lane, self);
    }
    return own;
}

struct car_lane *car_lanes_call(struct car_tenant *tenant, unsigned worker_count, struct car_worker *self) {
    struct car_lane *own = NULL;
    struct car_lanes *lanes = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    for (unsigned i = 0; lanes && i < worker_count; i++) {
        struct car_lane *lane = atomic_load_explicit(&lanes->of[i], memory_order_acquire);
        if (lane && lane->worker == self) {
            own = lane;
        } else if (lane) {
            call(lane, self);
        }
    }
    return own;
}

void car_lane_wake(struct car_lane *lane) {
    assert(!lane->gone);
    car_flow_defer(&lane->worker->tasks, lane->flow, &lane->task);
}

uint64_t car_lanes_floor(struct car_tenant *tenant, unsigned worker_count, uint64_t newest) {
    uint64_t floor = newest;
    struct car_lanes *lanes = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    for (unsigned i = 0; lanes && i < worker_count; i++) {
        struct car_lane *lane = atomic_load_explicit(&lanes->of[i], memory_order_acquire);
        uint64_t at = lane ? atomic_load(&lane->consumed) : newest;
        floor = at < floor ? at : floor;
    }
    return floor;
}

void car_lane_count(struct car_lane *lane, enum car_wire wire, uint64_t times, uint64_t events, uint64_t bytes) {
    struct car_feed_metrics *metrics = car_feed_local(lane->worker->feed)->metrics;
    enum car_transport by = car_wire_transport(wire);
    car_cell_add(&metrics->delivered[by], times * events);
    car_cell_add(&metrics->delivered_bytes[by], times * bytes);
    car_cell_add(&lane->delivered, times * events);
    car_cell_add(&lane->delivered_bytes, times * bytes);
}

struct car_traffic car_tenant_traffic(const struct car_feed *feed, struct car_tenant *tenant,
                                      struct car_reader *reader) {
    struct car_traffic traffic = {.published = car_cell_get(&tenant->published),
                                  .published_bytes = car_cell_get(&tenant->published_bytes)};
    struct car_lanes *lanes = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    if (!lanes) {
        return traffic;
    }
    car_reader_enter(reader);
    traffic.delivered = atomic_load_explicit(&lanes->delivered, memory_order_acquire); /* before the slots: lane.h */
    traffic.delivered_bytes = atomic_load_explicit(&lanes->delivered_bytes, memory_order_acquire);
    for (unsigned i = 0; i < feed->worker_count; i++) {
        const struct car_lane *lane = atomic_load_explicit(&lanes->of[i], memory_order_acquire);
        if (lane) {
            traffic.delivered += car_cell_get(&lane->delivered);
            traffic.delivered_bytes += car_cell_get(&lane->delivered_bytes);
        }
    }
    car_reader_leave(reader);
    return traffic;
}
