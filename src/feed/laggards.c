#include "carillon/feed/laggards.h"

#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/history.h"
#include "carillon/feed/session.h"
#include "carillon/runtime/turn.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "tenant_state.h"

#define LOOKS_MAX 16384
#define MS_PER_S  1000
#define US_PER_S  1000000u

/* Those that are found, the furthest behind first. */
struct found {
    struct car_laggard *out;
    unsigned max, count, total, looks;
    uint32_t now_s;
    int64_t now_ms;
};

static uint64_t events_of(const struct car_lane *lane, const struct car_session *session) {
    uint64_t newest = car_history_newest(&lane->tenant->history);
    return newest > session->position ? newest - session->position : 0;
}

static void fill(struct car_laggard *laggard, const struct car_lane *lane, const struct car_session *session) {
    struct car_session_peer peer =
        session->ops->peer ? session->ops->peer(session) : (struct car_session_peer){.request_id = ""};
    size_t len = strnlen(peer.request_id, CAR_LAGGARD_ID_MAX);
    laggard->tenant = lane->tenant;
    laggard->transport = car_wire_transport(session->wire);
    laggard->client = peer.client ? *peer.client : (struct car_address){0};
    memcpy(laggard->request_id, peer.request_id, len);
    laggard->request_id[len] = '\0';
}

/* Its place among those that were found before; `max` where it has none. */
static unsigned place_for(struct found *found, uint64_t events) {
    unsigned at = found->count;
    if (at == found->max && (at == 0 || found->out[at - 1].events >= events)) {
        return found->max;
    }
    at -= at == found->max;
    for (; at > 0 && found->out[at - 1].events < events; at--) {
        found->out[at] = found->out[at - 1];
    }
    found->count += found->count < found->max;
    return at;
}

static void look(struct found *found, const struct car_lane *lane, struct car_session *session) {
    uint32_t for_s = found->now_s - session->behind_s;
    uint64_t bytes = session->ops->held ? session->ops->held(session) : 0;
    if (for_s == 0 || (session->joining && bytes == 0)) {
        return;
    }
    found->total++;
    uint64_t events = events_of(lane, session);
    unsigned at = place_for(found, events);
    if (at < found->max) {
        struct car_laggard *laggard = &found->out[at];
        fill(laggard, lane, session);
        laggard->events = events;
        laggard->bytes = bytes;
        laggard->since_ms = found->now_ms - (int64_t)for_s * MS_PER_S;
    }
}

unsigned car_laggards_find(struct car_worker *worker, struct car_laggard *out, unsigned max, unsigned *total) {
    struct found found = {
        .out = out, .max = max, .now_s = (uint32_t)(car_turn_us() / US_PER_S), .now_ms = car_clock_wall_ms()};
    for (struct car_lane *lane = car_feed_local(worker->feed)->lanes; lane; lane = lane->next) {
        for (struct car_session *session = lane->behind; session && found.looks < LOOKS_MAX; session = session->next) {
            found.looks++;
            look(&found, lane, session);
        }
    }
    *total = found.total;
    return found.count;
}
