#include "poster.h"

#include <inttypes.h>

#include "http.h"
#include "load.h"
#include "posts.h"

void poster_acked(struct conn *conn, uint64_t number) {
    const struct post *post = conn->posts ? posts_ack(conn->posts, number) : NULL;
    if (!post) {
        conn_fault(conn, "got an acknowledgement that nothing waits for (of publish %" PRIu64 ")", number + 1);
        return;
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
        if (head.status < 200 || head.status > 299) {
            conn_fault(conn, "publish %" PRIu64 " was answered with %u", conn->posts->first + 1, head.status);
            conn->posts->first += conn->posts->first < conn->posts->next;
        } else {
            poster_acked(conn, conn->posts->first);
        }
        used += size;
    }
    return used;
}
