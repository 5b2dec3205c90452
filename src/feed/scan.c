#include "carillon/feed/scan.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/flows.h"
#include "carillon/feed/history.h"
#include "carillon/feed/memory.h"
#include "carillon/runtime/flow.h"
#include "carillon/runtime/worker.h"

#include "page.h"
#include "tenant_state.h"

/* Events are looked at in so large pieces. */
#define PIECE 64

/* What it costs to look into one with a filter, beside the bytes that are searched for words. When that comes to what a
 * flow may cost in a round, others have their turn: some 150 µs. */
#define LOOK_COST 512

/* Where it has come to is kept in `first` and `last`: what lies between them has not been looked at. */

static struct car_feed *feed_of(const struct car_scan *scan) {
    return car_feed_local(scan->worker->feed)->feed;
}

static int make_room(struct car_scan *scan) {
    if (scan->count < scan->room) {
        return 0;
    }
    uint32_t room = scan->room ? scan->room * 2 : PIECE;
    room = room < scan->limit ? room : scan->limit;
    struct car_event **wider = realloc(scan->events, room * sizeof *wider);
    if (!wider) {
        return CAR_ENOMEM;
    }
    scan->events = wider;
    scan->room = room;
    return 0;
}

/* Takes the reference of an event that passes. false where the scan has come to its end: there are more than it takes,
 * or no memory. */
static bool take(struct car_scan *scan, struct car_event *event) {
    bool full = scan->count == scan->limit || scan->bytes > CAR_SCAN_BYTES_MAX;
    if (full) {
        scan->more = true;
    } else {
        scan->status = make_room(scan);
    }
    if (full || scan->status) {
        car_event_unref(&event);
        return false;
    }
    scan->bytes += car_event_json(event).len;
    scan->events[scan->count++] = event;
    return true;
}

static void look_past(struct car_scan *scan, uint64_t seq) {
    *(scan->descending ? &scan->last : &scan->first) = scan->descending ? seq - 1 : seq + 1;
}

/* What is left is for another turn. */
static bool is_tired(const struct car_scan *scan) {
    return scan->cost >= CAR_FLOW_QUANTUM;
}

static bool passes(struct car_scan *scan, const struct car_event *event, struct car_buf *scratch) {
    if (!scan->filter) {
        return true;
    }
    scan->cost += LOOK_COST + (scan->filter->words.len ? car_event_json(event).len : 0);
    return car_filter_passes(scan->filter, event, scratch);
}

/* Looks at the events from `from` on, of which memory has the first. false at the scan's end. */
static bool look(struct car_scan *scan, uint64_t from, size_t max, struct car_buf *scratch) {
    struct car_event *events[PIECE];
    size_t n = car_history_read(&scan->tenant->history, scan->worker->reader, from, events, max);
    bool going = true;
    /* Memory may have let go of the first ones just now: then they are looked for elsewhere. */
    bool whole = scan->descending || n == 0 || events[0]->seq == from;
    for (size_t i = 0; i < n; i++) {
        struct car_event *event = events[scan->descending ? n - 1 - i : i];
        bool wanted = whole && going && !is_tired(scan) && event->seq >= scan->first && event->seq <= scan->last;
        if (wanted) {
            look_past(scan, event->seq);
        }
        if (wanted && passes(scan, event, scratch)) {
            going = take(scan, event);
        } else {
            car_event_unref(&event);
        }
    }
    return going && n > 0;
}

/* The seq at which memory begins: below it the log is asked, where it has more. */
static uint64_t memory_from(const struct car_scan *scan) {
    const struct car_feed *feed = feed_of(scan);
    return feed->log->ops->ask ? car_history_oldest(&scan->tenant->history) : car_feed_oldest(feed, scan->tenant);
}

/* Looks at what memory has next. false at the scan's end, or where memory has none of it. */
static bool look_in_memory(struct car_scan *scan, struct car_buf *scratch) {
    uint64_t memory = memory_from(scan);
    uint64_t lowest = scan->first > memory ? scan->first : memory;
    if (scan->last < lowest || (!scan->descending && scan->first < memory)) {
        return false;
    }
    uint64_t left = scan->last - lowest + 1;
    size_t n = left < PIECE ? (size_t)left : PIECE;
    return look(scan, scan->descending ? scan->last - n + 1 : scan->first, n, scratch);
}

static void end(struct car_scan *scan) {
    struct car_feed_local *local = car_feed_local(scan->worker->feed);
    car_page_free(&scan->page);
    if (scan->status) {
        car_scan_free(scan);
    }
    scan->done(scan);
    car_feed_publishing(local, -1);
}

static void go_on(struct car_scan *scan);

/* What was forgotten while the scan came along goes from its beginning: there is no hole in what it finds. */
static void drop_forgotten(struct car_scan *scan, uint64_t forgotten) {
    uint32_t gone = 0;
    while (!scan->descending && gone < scan->count && scan->events[gone]->seq <= forgotten) {
        scan->bytes -= car_event_json(scan->events[gone]).len;
        car_event_unref(&scan->events[gone++]);
    }
    if (gone) {
        scan->count -= gone;
        memmove(scan->events, scan->events + gone, scan->count * sizeof *scan->events);
    }
}

/* One event is always had. */
static bool has_no_memory(const struct car_scan *scan) {
    return scan->limit > 1 && car_memory_denies(scan->tenant, scan->worker);
}

/* What memory had is counted there. false where that is more than the tenant may have. */
static bool count(struct car_scan *scan, const struct car_event *event) {
    scan->counted += event->size;
    car_memory_count(scan->tenant, (int64_t)event->size);
    return !has_no_memory(scan);
}

static void on_page(struct car_page *page) {
    struct car_scan *scan = page->user;
    struct car_log_page *answer = &page->log;
    bool going = answer->ask.status == 0;
    scan->status = answer->ask.status;
    if (going) {
        drop_forgotten(scan, answer->forgotten);
    }
    for (uint32_t i = 0; i < answer->count; i++) {
        bool kept = scan->descending || answer->events[i]->seq > answer->forgotten;
        if (going && kept && !count(scan, answer->events[i])) {
            scan->status = CAR_ENOMEM;
            going = false;
        }
        if (going && kept) {
            going = take(scan, answer->events[i]);
        } else {
            car_event_unref(&answer->events[i]);
        }
    }
    answer->count = 0;
    if (!going) {
        end(scan);
        return;
    }
    if (answer->seen) {
        look_past(scan, scan->descending ? answer->last - answer->seen + 1 : answer->first + answer->seen - 1);
    }
    go_on(scan);
}

/* Memory has let go of what comes next while it was looked at, and nothing else has it. */
static void skip_forgotten(struct car_scan *scan) {
    uint64_t memory = memory_from(scan);
    if (scan->descending || scan->first >= memory) {
        return;
    }
    scan->more = scan->count > 0 && scan->last >= memory;
    scan->first = memory;
}

static void ask(struct car_scan *scan) {
    uint64_t memory = memory_from(scan);
    if (!scan->page) {
        scan->page = car_page_new(scan->worker, scan->tenant, on_page, scan);
    }
    if (!scan->page) {
        scan->status = CAR_ENOMEM;
        end(scan);
        return;
    }
    struct car_log_page *page = &scan->page->log;
    uint32_t left = scan->limit - scan->count + 1; /* one more, to know whether there is */
    page->first = scan->first;
    page->last = scan->descending || scan->last < memory ? scan->last : memory - 1;
    page->descending = scan->descending;
    page->max_events = left < CAR_LOG_PAGE_EVENTS ? left : CAR_LOG_PAGE_EVENTS;
    page->max_bytes = CAR_SCAN_BYTES_MAX - (scan->bytes < CAR_SCAN_BYTES_MAX ? scan->bytes : CAR_SCAN_BYTES_MAX);
    page->filter = scan->filter;
    car_page_ask(scan->page);
}

static void on_turn(struct car_task *task) {
    go_on((struct car_scan *)((char *)task - offsetof(struct car_scan, task)));
}

/* Goes on in the next turn of the tenant's flow. */
static void yield(struct car_scan *scan) {
    scan->task = (struct car_task){.run = on_turn};
    car_flow_defer(&scan->worker->tasks, car_flow_of(scan->tenant, scan->worker), &scan->task);
}

/* Looks at what memory has. false where there is more of it, for another turn. */
static bool look_through_memory(struct car_scan *scan, bool reads) {
    struct car_buf scratch = CAR_BUF_INIT;
    bool going;
    scan->cost = 0;
    do {
        if (!reads) {
            skip_forgotten(scan);
        }
        going = !scan->more && look_in_memory(scan, &scratch);
    } while (going && !is_tired(scan));
    car_buf_free(&scratch);
    if (scan->cost) {
        car_flow_charge(&scan->worker->tasks, car_flow_of(scan->tenant, scan->worker), scan->cost);
    }
    return !going;
}

/* Goes as far as memory leads, and asks the log for what lies beyond. */
static void go_on(struct car_scan *scan) {
    bool reads = feed_of(scan)->log->ops->ask != NULL;
    if (!look_through_memory(scan, reads)) {
        yield(scan);
    } else if (reads && !scan->status && !scan->more && scan->first <= scan->last) {
        ask(scan);
    } else {
        end(scan);
    }
}

void car_scan_start(struct car_scan *scan) {
    struct car_feed_local *local = car_feed_local(scan->worker->feed);
    /* In this order: what comes in between has more forgotten, never less. */
    uint64_t newest = car_history_newest(&scan->tenant->history);
    uint64_t oldest = car_feed_oldest(local->feed, scan->tenant);
    scan->first = scan->first > oldest ? scan->first : oldest;
    scan->last = scan->last < newest ? scan->last : newest;
    car_feed_publishing(local, 1);
    if (has_no_memory(scan)) {
        scan->status = CAR_ENOMEM;
        end(scan);
    } else if (scan->filter && car_flow_is_spent(car_flow_of(scan->tenant, scan->worker))) {
        yield(scan);
    } else {
        go_on(scan);
    }
}

void car_scan_free(struct car_scan *scan) {
    while (scan->count) {
        car_event_unref(&scan->events[--scan->count]);
    }
    car_memory_count(scan->tenant, -(int64_t)scan->counted);
    scan->counted = 0;
    free(scan->events);
    scan->events = NULL;
    scan->room = 0;
}
