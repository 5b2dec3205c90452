#include "poster.h"

#include <inttypes.h>

#include "event.h"
#include "http.h"
#include "load.h"
#include "posts.h"

/* Whether this is the event that was published, as it was published. */
static bool acknowledges(const struct load *load, const struct post *post, const char *text, size_t len) {
    const struct strand *strand = &load->strands[post->strand];
    struct event event;
    if (load->dialect->bare) {
        return true;
    }
    if (!text || !event_read(load, text, len, &event)) {
        return false;
    }
    const struct marker *marker = &event.marker;
    struct sent sent = {post->strand, marker->counter, post->due};
    return event.intact && event.tenant == strand->tenant && marker->nonce == load->nonce &&
           marker->tenant == strand->tenant && marker->publisher == strand->publisher &&
           marker->flight == post->flight && marker->due == post->due &&
           flights_carry(&load->flights, post->flight, &sent);
}

void poster_acked(struct conn *conn, uint64_t number, const char *event, size_t len) {
    const struct post *post = conn->posts ? posts_ack(conn->posts, number) : NULL;
    if (!post) {
        conn_fault(conn, "got an acknowledgement that nothing waits for (of publish %" PRIu64 ")", number + 1);
        return;
    }
    if (!acknowledges(conn->load, post, event, len)) {
        conn_fault(conn, "publish %" PRIu64 " was acknowledged with what is not its event", number + 1);
    }
    struct loop *loop = conn->loop;
    conn->load->strands[post->strand].acked++;
    histogram_add(&loop->tally->ack, loop->now > post->due ? loop->now - post->due : 0);
    loop->tally->last = loop->now;
    flights_arrive(&conn->load->flights, post->flight, loop);
}

size_t poster_input(struct conn *conn, char *data, size_t *len) {
    size_t used = 0;
    while (used < *len) {
        struct http_head head;
        size_t size;
        enum reading reading = http_response_read(data + used, *len - used, &head, &size);
        if (reading == READING_BROKEN) {
            conn_break(conn, "got an answer that is malformed");
        }
        if (reading != READING_WHOLE) {
            break;
        }
        bool bare = conn->load->dialect->bare;
        if (bare ? head.status < 200 || head.status > 299 : head.status != 201) {
            conn_fault(conn, "publish %" PRIu64 " was answered with %u", conn->posts->first + 1, head.status);
            conn->posts->first += conn->posts->first < conn->posts->next;
        } else {
            poster_acked(conn, conn->posts->first, data + used + head.size, size - head.size);
        }
        used += size;
    }
    return used;
}
