#include "fanout.h"

#include <stdbool.h>

#include "carillon/base/blob.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/session.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "session_state.h"

/* The frames of one fan-out, each form made when the first session asks for it. */
struct frames {
    struct car_event *const *events;
    size_t count;
    const struct car_wire_kit *kit;
    struct car_blob *of[CAR_WIRES];
    uint32_t taken[CAR_WIRES]; /* by so many sessions */
};

static struct car_blob *frames_in(struct frames *frames, enum car_wire wire) {
    if (!frames->of[wire]) {
        frames->of[wire] = car_wire_events(wire, frames->events, frames->count, frames->kit);
    }
    return frames->of[wire];
}

/* For how long fan-out takes, which is known when the turn ends (feed.c). */
static void note_time(struct car_feed_local *local, const struct car_event *oldest) {
    uint64_t now = car_turn_us();
    int32_t age = (int32_t)((uint32_t)now - oldest->came_us);
    uint64_t came = now - (age > 0 ? (uint32_t)age : 0); /* another thread's turn may have begun after this one's */
    if (!local->fanout_us) {
        local->fanout_us = now;
        local->oldest_us = came;
    } else if (came < local->oldest_us) {
        local->oldest_us = came;
    }
}

void car_fanout(struct car_lane *lane, struct car_event *const *events, size_t count) {
    struct car_feed_local *local = car_feed_local(lane->worker->feed);
    struct frames frames = {.events = events, .count = count, .kit = &local->wires};
    uint64_t last = events[count - 1]->seq;
    lane->position = last;
    for (struct car_session *session = lane->live, *next; session; session = next) {
        next = session->next;
        struct car_blob *blob = frames_in(&frames, session->wire);
        if (blob && session->ops->offer(session, blob)) {
            session->position = last;
            frames.taken[session->wire]++;
        } else {
            car_session_fall_behind(session, blob == NULL);
        }
    }
    for (int i = 0; i < CAR_WIRES; i++) {
        if (frames.of[i] && frames.taken[i]) {
            car_lane_count(lane, (enum car_wire)i, frames.taken[i], count, frames.of[i]->len);
            note_time(local, events[0]);
        }
        car_blob_unref(&frames.of[i]);
    }
}
