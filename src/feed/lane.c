#include "lane.h"

#include <assert.h>
#include <stdlib.h>

#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/ring.h"
#include "carillon/feed/wire.h"
#include "carillon/runtime/worker.h"

#include "fanout.h"
#include "tenant_state.h"

/* Events taken in one go, what is fanned out of them at a time, and how often in one turn before the loop looks for
 * input again. */
#define ROUND       128
#define ROUND_BYTES (128u << 10)
#define ROUNDS      8

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
        car_task_defer(&lane->worker->tasks, &lane->task);
    }
}

/* Takes what the ring has of the next events, up to a hole. */
static size_t take(struct car_lane *lane, struct car_event **events, size_t max) {
    size_t n = 0;
    bool hole = false;
    struct car_event *event = NULL;
    atomic_exchange_explicit(&lane->filled, false, memory_order_acquire);
    while (n < max && !hole && (event = car_ring_take_spsc(lane->ring))) {
        if (event->seq == lane->position + n + 1) {
            events[n++] = event;
        } else {
            hole = event->seq > lane->position + n + 1;
            car_event_unref(&event);
        }
    }
    if (n == max || hole) {
        atomic_store_explicit(&lane->filled, true, memory_order_relaxed); /* there may be more */
    }
    return n;
}

/* The next events in order, without a hole: from the ring, or, where that has none of them, from the history. */
static size_t collect(struct car_lane *lane, struct car_event **events, size_t max) {
    size_t n = atomic_load_explicit(&lane->filled, memory_order_acquire) ? take(lane, events, max) : 0;
    if (n == 0 && lane->position < car_history_newest(&lane->tenant->history)) {
        n = car_history_read(&lane->tenant->history, lane->worker->reader, lane->position + 1, events, max);
    }
    return n;
}

static bool round_of(struct car_lane *lane) {
    struct car_event *events[ROUND];
    size_t n = collect(lane, events, ROUND);
    for (size_t at = 0, take; at < n; at += take) {
        take = car_wire_cut(events + at, n - at, ROUND_BYTES);
        car_fanout(lane, events + at, take);
    }
    for (size_t i = 0; i < n; i++) {
        car_event_unref(&events[i]);
    }
    return n > 0;
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
    bool too_much = held > car_feed_keep(feed, tenant) && lane->position >= newest;
    if ((waited_for || too_much) && car_drain_claim(tenant)) {
        feed->log->ops->ready(feed->log, tenant, lane->worker);
    }
}

static void on_task(struct car_task *task) {
    struct car_lane *lane = (struct car_lane *)((char *)task - offsetof(struct car_lane, task));
    bool more = true;
    for (unsigned i = 0; more && i < ROUNDS; i++) {
        more = round_of(lane);
    }
    if (more) {
        car_task_yield(&lane->worker->tasks, &lane->task);
    }
    consumed(lane); /* last: it may drain, and publishers may be answered */
}

void car_lane_sync(struct car_lane *lane) {
    uint64_t newest = car_history_newest(&lane->tenant->history);
    while (lane->position < newest && round_of(lane)) {
    }
    consumed(lane);
}

/* Where a tenant's lanes hang, one for each worker. */
static _Atomic(_Atomic(struct car_lane *) *) *lanes_of(struct car_tenant *tenant) {
#ifdef CARILLON_MUTATION_FANOUT /* test/CMakeLists.txt: the tests of isolation have to notice */
    static _Atomic(_Atomic(struct car_lane *) *) everybodys;
    return tenant ? &everybodys : NULL;
#else
    return &tenant->lanes;
#endif
}

static _Atomic(struct car_lane *) *slot_of(struct car_tenant *tenant, struct car_worker *worker) {
    _Atomic(struct car_lane *) *slots = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    if (!slots) {
        _Atomic(struct car_lane *) *fresh = calloc(car_feed_local(worker->feed)->feed->worker_count, sizeof *fresh);
        if (!fresh) {
            return NULL;
        }
        if (atomic_compare_exchange_strong(lanes_of(tenant), &slots, fresh)) {
            slots = fresh;
        } else {
            free(fresh);
        }
    }
    return &slots[worker->id];
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
    lane->ring = ring;
    lane->note.run = on_note;
    lane->task.run = on_task;
    lane->position = car_history_newest(&tenant->history);
    atomic_init(&lane->consumed, lane->position);
    return lane;
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
        atomic_store_explicit(slot, lane, memory_order_release);
        /* Entering is a full fence, and a drainer enters between numbering events and looking for lanes: either it
         * finds this lane, or we find its events. */
        car_reader_enter(worker->reader);
        car_reader_leave(worker->reader);
    }
    car_lane_sync(lane);
    return lane;
}

void car_lane_drop(struct car_lane *lane) {
    struct car_tenant *tenant = lane->tenant;
    _Atomic(struct car_lane *) *slots = atomic_load_explicit(lanes_of(tenant), memory_order_relaxed);
    atomic_store_explicit(&slots[lane->worker->id], NULL, memory_order_release);
    lane->gone = true;
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
            break;
        }
    }
    atomic_store_explicit(&lane->filled, true, memory_order_release);
}

struct car_lane *car_lanes_put(struct car_tenant *tenant, unsigned worker_count, struct car_event *const *events,
                               size_t count, struct car_worker *self) {
    struct car_lane *own = NULL;
    _Atomic(struct car_lane *) *slots = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    for (unsigned i = 0; slots && i < worker_count; i++) {
        struct car_lane *lane = atomic_load_explicit(&slots[i], memory_order_acquire);
        if (!lane) {
            continue;
        }
        if (lane->worker == self) {
            own = lane; /* it reads from the history, where these are still warm */
            continue;
        }
        put(lane, events, count);
        if (!atomic_exchange(&lane->woken, true)) {
            if (self) {
                car_worker_post(self, lane->worker, &lane->note);
            } else {
                car_mailbox_post(&lane->worker->mailbox, &lane->note);
            }
        }
    }
    return own;
}

void car_lane_wake(struct car_lane *lane) {
    assert(!lane->gone);
    car_task_defer(&lane->worker->tasks, &lane->task);
}

uint64_t car_lanes_floor(struct car_tenant *tenant, unsigned worker_count, uint64_t newest) {
    uint64_t floor = newest;
    _Atomic(struct car_lane *) *slots = atomic_load_explicit(lanes_of(tenant), memory_order_acquire);
    for (unsigned i = 0; slots && i < worker_count; i++) {
        struct car_lane *lane = atomic_load_explicit(&slots[i], memory_order_acquire);
        uint64_t at = lane ? atomic_load(&lane->consumed) : newest;
        floor = at < floor ? at : floor;
    }
    return floor;
}
