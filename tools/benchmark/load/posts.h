#ifndef CARILLON_LOAD_POSTS_H
#define CARILLON_LOAD_POSTS_H

#include <stdbool.h>
#include <stdint.h>

/* A publish that was sent on a socket. */
struct post {
    uint64_t due;
    uint32_t strand, flight;
    bool acked;
};

/* Those of one socket that are not acknowledged, by their number on it: 0, 1, 2... Acknowledgements over HTTP come in
 * order; the others say which one they mean. Starts as zeros. */
struct posts {
    struct post *ring;
    uint64_t capacity; /* a power of 2 */
    uint64_t first, next;
};

/* The number of what is published next. */
static inline uint64_t posts_next(const struct posts *posts) {
    return posts->next;
}

void posts_add(struct posts *posts, const struct post *post);

/* Takes note of an acknowledgement; returns what it is of, for as long as nothing is added, or NULL where nothing waits
 * for it. */
const struct post *posts_ack(struct posts *posts, uint64_t number);
void posts_free(struct posts *posts);

#endif
