#include "carillon/feed/session.h"

#include <assert.h>

#include "carillon/base/blob.h"
#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "page.h"
#include "session_state.h"
#include "tenant_state.h"

/* What one session reads from the history in one go: at most so many events, and no more after so many bytes. */
#define CHUNK_EVENTS 64
#define CHUNK_BYTES  (64u << 10)

/* Chunks in one turn: no less than a lane fans out in one, or a busy tenant would outrun who joins it. */
#define CHUNKS 16

static void go_live(struct car_session *session) {
    struct car_lane *lane = session->lane;
    assert(session->position == lane->position);
    session->state = CAR_SESSION_LIVE;
    session->joining = false;
    session->next = lane->live;
    session->pprev = &lane->live;
    if (lane->live) {
        lane->live->pprev = &session->next;
    }
    lane->live = session;
}

static void leave_live(struct car_session *session) {
    *session->pprev = session->next;
    if (session->next) {
        session->next->pprev = session->pprev;
    }
    session->next = NULL;
    session->pprev = NULL;
}

void car_session_fall_behind(struct car_session *session, bool soon) {
    leave_live(session);
    session->state = CAR_SESSION_BEHIND;
    if (soon) {
        car_task_yield(&session->lane->worker->tasks, &session->catch_up);
    }
}

/* Events after the position have been forgotten, up to `to`. false where the session ends here. */
static bool pass_gap(struct car_session *session, uint64_t to) {
    uint64_t from = session->position + 1;
    if (session->joining) {
        session->ops->gap(session, from, to);
    } else if (!session->ops->too_slow(session, from, to)) {
        session->state = CAR_SESSION_ENDED;
        return false;
    }
    session->position = to;
    return true;
}

static bool offer_chunk(struct car_session *session, struct car_event *const *events, size_t count) {
    struct car_feed_local *local = car_feed_local(session->lane->worker->feed);
    struct car_blob *blob = car_wire_events(session->wire, events, count, &local->wires);
    bool taken = blob && session->ops->offer(session, blob);
    if (taken) {
        session->position = events[count - 1]->seq;
        local->delivered += count;
    } else if (!blob) {
        car_task_yield(&session->lane->worker->tasks, &session->catch_up);
    }
    car_blob_unref(&blob);
    return taken;
}

static void fail(struct car_session *session) {
    session->state = CAR_SESSION_ENDED;
    session->ops->failed(session);
}

/* It wants the events of the page: nothing has happened to it meanwhile. */
static bool fits(const struct car_session *session, const struct car_log_page *page) {
    return session->state == CAR_SESSION_BEHIND && page->count > 0 && page->events[0]->seq == session->position + 1;
}

static void on_page(struct car_page *page) {
    struct car_session *session = page->user;
    struct car_log_page *answer = &page->log;
    int status = answer->ask.status;
    bool more = true;
    if (status == 0 && fits(session, answer)) {
        more = offer_chunk(session, answer->events, answer->count);
    }
    car_page_free(&session->page);
    if (status && status != CAR_EFULL && session->state == CAR_SESSION_BEHIND) {
        fail(session);
    } else if (more) {
        car_session_resume(session);
    }
}

/* Asks the log for what memory has let go of, from the position to just before `memory`. A session waits for one page
 * at a time, and for none while its peer reads too slowly. */
static void ask(struct car_session *session, uint64_t memory) {
    struct car_lane *lane = session->lane;
    session->page = car_page_new(lane->worker, lane->tenant, on_page, session);
    if (!session->page) {
        car_task_yield(&lane->worker->tasks, &session->catch_up);
        return;
    }
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
    if (session->state != CAR_SESSION_BEHIND || session->page) {
        return;
    }
    bool more = true;
    for (unsigned i = 0; more && i < CHUNKS && session->position != session->lane->position; i++) {
        more = step(session);
    }
    if (more && session->position == session->lane->position) {
        go_live(session);
        if (session->ops->caught_up) {
            session->ops->caught_up(session);
        }
    } else if (more) {
        car_task_yield(&session->lane->worker->tasks, task);
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
    atomic_fetch_add_explicit(&tenant->connections, 1, memory_order_relaxed);
    session->lane = lane;
    session->state = CAR_SESSION_ATTACHED;
    session->joining = true;
    session->position = *newest = lane->position;
    session->catch_up.run = on_catch_up;
    return 0;
}

void car_session_start(struct car_session *session, const struct car_cursor *cursor) {
    assert(session->state == CAR_SESSION_ATTACHED);
    struct car_lane *lane = session->lane;
    session->state = CAR_SESSION_BEHIND;
    if (cursor) {
        /* A seq that this log has not come to is another log's, with or without its name. */
        bool foreign = cursor->foreign || cursor->seq > lane->position;
        const struct car_feed *feed = car_feed_local(lane->worker->feed)->feed;
        uint64_t forgotten = car_feed_oldest(feed, lane->tenant) - 1;
        forgotten = forgotten < lane->position ? forgotten : lane->position;
        if (foreign) {
            session->ops->gap(session, 1, forgotten);
            session->position = forgotten;
        } else {
            session->position = cursor->seq;
            if (session->position < forgotten) {
                pass_gap(session, forgotten);
            }
        }
    }
    if (session->position == lane->position) {
        go_live(session);
    } else {
        car_task_defer(&lane->worker->tasks, &session->catch_up);
    }
}

void car_session_resume(struct car_session *session) {
    if (session->state == CAR_SESSION_BEHIND) {
        car_task_defer(&session->lane->worker->tasks, &session->catch_up);
    }
}

void car_session_detach(struct car_session *session) {
    struct car_lane *lane = session->lane;
    if (session->state == CAR_SESSION_DETACHED) {
        return;
    }
    if (session->state == CAR_SESSION_LIVE) {
        leave_live(session);
    }
    car_task_cancel(&lane->worker->tasks, &session->catch_up);
    car_page_free(&session->page);
    session->state = CAR_SESSION_DETACHED;
    session->lane = NULL;
    atomic_fetch_sub_explicit(&lane->tenant->connections, 1, memory_order_relaxed);
    if (--lane->sessions == 0) {
        car_lane_drop(lane);
    }
}

struct car_tenant *car_session_tenant(const struct car_session *session) {
    return session->lane ? session->lane->tenant : NULL;
}
