#include "posts.h"

#include <stdlib.h>

#include "bytes.h"

static struct post *at(const struct posts *posts, uint64_t number) {
    return &posts->ring[number & (posts->capacity - 1)];
}

static void grow(struct posts *posts) {
    struct posts larger = {.capacity = posts->capacity ? posts->capacity * 2 : 64};
    larger.ring = memory_zeroed(larger.capacity, sizeof *larger.ring);
    for (uint64_t number = posts->first; number < posts->next; number++) {
        *at(&larger, number) = *at(posts, number);
    }
    free(posts->ring);
    posts->ring = larger.ring;
    posts->capacity = larger.capacity;
}

void posts_add(struct posts *posts, const struct post *post) {
    if (posts->next - posts->first == posts->capacity) {
        grow(posts);
    }
    *at(posts, posts->next++) = *post;
}

const struct post *posts_ack(struct posts *posts, uint64_t number) {
    if (number < posts->first || number >= posts->next || at(posts, number)->acked) {
        return NULL;
    }
    struct post *post = at(posts, number);
    post->acked = true;
    while (posts->first < posts->next && at(posts, posts->first)->acked) {
        posts->first++;
    }
    return post;
}

void posts_free(struct posts *posts) {
    free(posts->ring);
}
