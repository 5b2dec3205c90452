#include "carillon/feed/session.h"

#include <assert.h>

#include "carillon/base/blob.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/log.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "page.h"
#include "session_state.h"
#include "tenant_state.h"

/* What one session reads from the history in one go: at most so many events, and no more after so many bytes. */
#define CHUNK_EVENTS 64
#define CHUNK_BYTES  (64u << 10)

/* Chunks in one go: no less than a lane fans out in one, or a busy tenant would outrun who joins it. */
#define CHUNKS 3

/* Pages that one tenant's sessions wait for on one worker: other tenants' come from the same threads of the log. */
#define PAGES_MAX 4

#define STEP_COST 256

#define US_PER_S 1000000u

static void enlist(struct car_session *session, struct car_session **list) {
    session->next = *list;
    session->pprev = list;
    if (*list) {
        (*list)->pprev = &session->next;
    }
    *list = session;
}

static void unlist(struct car_session *session) {
    if (session->pprev) {
        *session->pprev = session->next;
        if (session->next) {
            session->next->pprev = session->pprev;
        }
        session->next = NULL;
        session->pprev = NULL;
    }
}

/* Reads on when its tenant has its turn. */
static void soon(struct car_session *session) {
    car_flow_defer(&session->lane->worker->tasks, session->lane->flow, &session->catch_up);
}

static void go_live(struct car_session *session) {
    assert(session->position == session->lane->position);
    unlist(session);
    enlist(session, &session->lane->live);
    session->state = CAR_SESSION_LIVE;
    session->joining = false;
}

/* Counts one more of what the worker counts by transport. */
static void count(const struct car_session *session, car_cell *cells) {
    car_cell_add(&cells[car_wire_transport(session->wire)], 1);
}

static struct car_feed_metrics *metrics_of(const struct car_session *session) {
    return car_feed_local(session->lane->worker->feed)->metrics;
}

static void go_behind(struct car_session *session) {
    unlist(session);
    enlist(session, &session->lane->behind);
    session->state = CAR_SESSION_BEHIND;
    session->behind_s = (uint32_t)(car_turn_us() / US_PER_S);
}

static void end(struct car_session *session) {
    unlist(session);
    session->state = CAR_SESSION_ENDED;
}

void car_session_shed(struct car_session *session) {
    count(session, metrics_of(session)->shed);
    end(session);
    session->ops->shed(session);
}

void car_session_fall_behind(struct car_session *session, bool again) {
    go_behind(session);
    if (again) {
        soon(session);
    } else {
        count(session, metrics_of(session)->slow);
    }
}

/* Events after the position have been forgotten, up to `to`. false where the session ends here. */
static bool pass_gap(struct car_session *session, uint64_t to) {
    uint64_t from = session->position + 1;
    struct car_feed_metrics *metrics = metrics_of(session);
    if (session->joining) {
        session->ops->gap(session, from, to);
    } else if (!session->ops->too_slow(session, from, to)) {
        count(session, metrics->too_slow);
        end(session);
        return false;
    }
    count(session, metrics->gaps);
    session->position = to;
    return true;
}

static bool offer_chunk(struct car_session *session, struct car_event *const *events, size_t count) {
    struct car_feed_local *local = car_feed_local(session->lane->worker->feed);
    struct car_blob *blob = car_wire_events(session->wire, events, count, &local->wires);
    bool taken = blob && session->ops->offer(session, blob);
    car_flow_charge(&session->lane->worker->tasks, session->lane->flow, STEP_COST + (blob ? blob->len : 0));
    if (taken) {
        session->position = events[count - 1]->seq;
        car_lane_count(session->lane, session->wire, 1, count, blob->len);
    } else if (!blob) {
        soon(session);
    }
    car_blob_unref(&blob);
    return taken;
}

static void fail(struct car_session *session) {
    end(session);
    session->ops->failed(session);
}

/* Another session may ask now. */
static void drop_page(struct car_session *session) {
    struct car_lane *lane = session->lane;
    if (!session->page) {
        return;
    }
    car_page_free(&session->page);
    session->paged = false;
    lane->pages--;
    if (lane->waiting.next != &lane->waiting) {
        struct car_task *next = (struct car_task *)lane->waiting.next; /* its first member */
        car_task_cancel(&lane->worker->tasks, next);
        car_flow_defer(&lane->worker->tasks, lane->flow, next);
    }
}

/* It wants the events of the page: nothing has happened to it meanwhile. */
static bool fits(const struct car_session *session, const struct car_log_page *page) {
    return session->state == CAR_SESSION_BEHIND && page->count > 0 && page->events[0]->seq == session->position + 1;
}

/* It is looked at when the tenant has its turn: many may come at once. */
static void on_page(struct car_page *page) {
    struct car_session *session = page->user;
    session->paged = true;
    soon(session);
}

/* Takes what has come. true where another step may follow at once. */
static bool take_page(struct car_session *session) {
    struct car_log_page *answer = &session->page->log;
    int status = answer->ask.status;
    bool more = true;
    if (status == 0 && fits(session, answer)) {
        more = offer_chunk(session, answer->events, answer->count);
    }
    drop_page(session);
    if (status && status != CAR_EFULL && session->state == CAR_SESSION_BEHIND) {
        fail(session);
        more = false;
    }
    return more;
}

/* Asks the log for what memory has let go of, from the position to just before `memory`. A session waits for one page
 * at a time, and for none while its peer reads too slowly. */
static void ask(struct car_session *session, uint64_t memory) {
    struct car_lane *lane = session->lane;
    if (lane->pages == PAGES_MAX) {
        car_flow_wait(&lane->waiting, &session->catch_up);
        return;
    }
    session->page = car_page_new(lane->worker, lane->tenant, on_page, session);
    if (!session->page) {
        soon(session);
        return;
    }
    lane->pages++;
    struct car_log_page *page = &session->page->log;
    page->first = session->position + 1;
    page->last = memory - 1 < lane->position ? memory - 1 : lane->position;
    page->max_events = CHUNK_EVENTS;
    page->max_bytes = CHUNK_BYTES;
    car_page_ask(session->page);
}

/* What lies between the position and the first seq that memory has. true where another step may follow at once. */
static bool step_to_memory(struct car_session *session, uint64_t memory) {
    const struct car_lane *lane = session->lane;
    const struct car_feed *feed = car_feed_local(lane->worker->feed)->feed;
    uint64_t first = memory;
    if (feed->log->ops->ask) {
        first = car_feed_oldest(feed, lane->tenant);
        if (first <= session->position + 1) {
            ask(session, memory);
            return false;
        }
    }
    return pass_gap(session, first <= lane->position ? first - 1 : lane->position);
}

/* One step of reading on. true where another may follow at once. */
static bool step(struct car_session *session) {
    struct car_lane *lane = session->lane;
    struct car_event *events[CHUNK_EVENTS];
    size_t count =
        car_history_read(&lane->tenant->history, lane->worker->reader, session->position + 1, events, CHUNK_EVENTS);
    uint64_t first = count ? events[0]->seq : lane->position + 1;
    bool more = true;
    if (first > session->position + 1) {
        more = step_to_memory(session, first);
    }
    size_t upto = 0;
    bool next = count && events[0]->seq == session->position + 1; /* else some before them are still to be read */
    while (next && upto < count && events[upto]->seq <= lane->position) {
        upto++;
    }
    if (more && upto) {
        more = offer_chunk(session, events, car_wire_cut(events, upto, CHUNK_BYTES));
    }
    for (size_t i = 0; i < count; i++) {
        car_event_unref(&events[i]);
    }
    return more;
}

static void on_catch_up(struct car_task *task) {
    struct car_session *session = (struct car_session *)((char *)task - offsetof(struct car_session, catch_up));
    struct car_lane *lane = session->lane;
    if (session->state != CAR_SESSION_BEHIND || (session->page && !session->paged)) {
        return;
    }
    bool more = session->page ? take_page(session) : true;
    for (unsigned i = 0; more && i < CHUNKS && session->position < lane->position; i++) {
        more = step(session);
    }
    if (more && session->position == lane->position) {
        go_live(session);
        count(session, metrics_of(session)->caught_up);
        if (session->ops->caught_up) {
            session->ops->caught_up(session);
        }
    } else if (more) {
        soon(session);
    }
}

/* Whose events a session of the tenant is offered. */
static struct car_tenant *feeds(struct car_tenant *tenant) {
#ifdef CARILLON_MUTATION_MISDELIVER /* test/CMakeLists.txt: for every fourth session, another's */
    static _Thread_local unsigned count;
    static _Thread_local struct car_tenant *latest, *other;
    other = tenant == latest ? other : latest;
    latest = tenant;
    return ++count % 4 == 0 && other ? other : tenant;
#else
    return tenant;
#endif
}

int car_session_attach(struct car_session *session, struct car_worker *worker, struct car_tenant *tenant,
                       uint64_t *newest) {
    assert(session->state == CAR_SESSION_DETACHED);
    tenant = feeds(tenant);
    struct car_lane *lane = car_lane_get(worker, tenant);
    if (!lane) {
        return CAR_ENOMEM;
    }
    lane->sessions++;
    car_cell_add(&car_feed_local(worker->feed)->metrics->subscribers, 1);
    atomic_fetch_add_explicit(&tenant->connections, 1, memory_order_relaxed);
    session->lane = lane;
    session->state = CAR_SESSION_ATTACHED;
    session->joining = true;
    /* The lane may be behind that: what it fans out meanwhile is nothing to this session. */
    session->position = *newest = car_history_newest(&tenant->history);
    session->catch_up.run = on_catch_up;
    return 0;
}

/* The seq before the one that it begins with. */
static uint64_t begin_at(struct car_session *session, const struct car_cursor *cursor) {
    const struct car_lane *lane = session->lane;
    const struct car_feed *feed = car_feed_local(lane->worker->feed)->feed;
    uint64_t newest = car_history_newest(&lane->tenant->history);
    uint64_t forgotten = car_feed_oldest(feed, lane->tenant) - 1;
    forgotten = forgotten < newest ? forgotten : newest;
    /* A seq that this log has not come to is another log's, with or without its name. */
    if (cursor->foreign || cursor->seq > newest) {
        session->ops->gap(session, 1, forgotten);
        count(session, metrics_of(session)->gaps);
        return forgotten;
    }
    if (cursor->seq < forgotten) {
        session->ops->gap(session, cursor->seq + 1, forgotten);
        count(session, metrics_of(session)->gaps);
        return forgotten;
    }
    return cursor->seq;
}

void car_session_start(struct car_session *session, const struct car_cursor *cursor) {
    assert(session->state == CAR_SESSION_ATTACHED);
    if (cursor) {
        session->position = begin_at(session, cursor);
    }
    if (session->position == session->lane->position) {
        go_live(session);
    } else {
        go_behind(session);
        soon(session);
    }
}

void car_session_resume(struct car_session *session) {
    if (session->state == CAR_SESSION_BEHIND) {
        soon(session);
    }
}

void car_session_detach(struct car_session *session) {
    struct car_lane *lane = session->lane;
    if (session->state == CAR_SESSION_DETACHED) {
        return;
    }
    unlist(session);
    car_task_cancel(&lane->worker->tasks, &session->catch_up);
    drop_page(session);
    session->state = CAR_SESSION_DETACHED;
    session->lane = NULL;
    atomic_fetch_sub_explicit(&lane->tenant->connections, 1, memory_order_relaxed);
    car_cell_add(&car_feed_local(lane->worker->feed)->metrics->subscribers, UINT64_MAX);
    if (--lane->sessions == 0) {
        car_lane_drop(lane);
    }
}

struct car_tenant *car_session_tenant(const struct car_session *session) {
    return session->lane ? session->lane->tenant : NULL;
}
