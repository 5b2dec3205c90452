#include "shed.h"

#include <stddef.h>
#include <stdint.h>

#include "carillon/feed/feed.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/session.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "session_state.h"

/* Sent away in one go: each is looked for among all. */
#define FEW 8

/* How long history is waited for to go before readers do. It is the log's thread that lets go of it, and that may have
 * its own worries. */
#define PATIENCE_US 250000
#define EPISODE_US  2000000 /* after so long it is another shortness */

/* Whether there is history that goes first. Its drainer calls the lane when that has not sufficed, and whatever else
 * comes to wait for a socket does so, too. */
static bool history_first(struct car_lane *lane, const struct car_feed *feed) {
    uint64_t now = car_turn_us();
    if (lane->short_us == 0 || now - lane->short_us > EPISODE_US) {
        lane->short_us = now;
    }
    return now - lane->short_us < PATIENCE_US && car_memory_has_history(feed, lane->tenant);
}

/* The more behind of `found` and those of the list for which something waits. */
static struct car_session *look(struct car_session *list, struct car_session *found) {
    for (struct car_session *session = list; session; session = session->next) {
        if ((!found || session->position < found->position) && session->ops->held && session->ops->held(session)) {
            found = session;
        }
    }
    return found;
}

bool car_shed(struct car_lane *lane) {
    const struct car_feed *feed = car_feed_local(lane->worker->feed)->feed;
    for (unsigned i = 0; i < FEW; i++) {
        if (car_memory_excess(feed, lane->tenant) == 0) {
            lane->short_us = 0;
            return false;
        }
        if (history_first(lane, feed)) {
            return false;
        }
        struct car_session *session = look(lane->live, look(lane->behind, NULL));
        if (!session) {
            return false;
        }
        car_session_shed(session);
    }
    return true;
}
