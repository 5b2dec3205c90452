#include "carillon/feed/ring.h"

#include <assert.h>
#include <ck_pr.h>
#include <sched.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#define SPINS 64u

/* What an mpsc put does while it waits for the second half of the put before it. That thread may have been preempted,
 * on this very processor: spinning on would burn a time slice for each event, and get this thread preempted with its
 * own put half done. (Measured with four putters on two processors: more than 100 times slower without the yield.) */
static inline void stall(void) {
    static _Thread_local unsigned spins;
    if (++spins % SPINS == 0) {
        sched_yield();
    } else {
        ck_pr_stall();
    }
}

#define ck_pr_stall stall
#include <ck_ring.h>
#undef ck_pr_stall

#define SLOTS_MIN 4u
#define SLOTS_MAX 65536u

struct car_ring {
    /* First, with the takers' and the putters' cursor on cache lines of their own: the race tests reach the cursors
     * through it, to begin close to where they wrap around. */
    alignas(CK_MD_CACHELINE) ck_ring_t cursors;
    alignas(CK_MD_CACHELINE) ck_ring_buffer_t slots[];
};

static_assert(offsetof(struct car_ring, cursors) == 0, "the cursors stand first");

struct car_ring *car_ring_new(unsigned slots) {
    assert(slots >= SLOTS_MIN && slots <= SLOTS_MAX && (slots & (slots - 1)) == 0);
    size_t size = sizeof(struct car_ring) + slots * sizeof(ck_ring_buffer_t);
    size = (size + CK_MD_CACHELINE - 1) / CK_MD_CACHELINE * CK_MD_CACHELINE; /* as aligned_alloc asks */
    struct car_ring *ring = aligned_alloc(CK_MD_CACHELINE, size);
    if (ring) {
        ck_ring_init(&ring->cursors, slots);
    }
    return ring;
}

void car_ring_free(struct car_ring **ring) {
    free(*ring);
    *ring = NULL;
}

bool car_ring_put_mpsc(struct car_ring *ring, void *item) {
    assert(item);
    return ck_ring_enqueue_mpsc(&ring->cursors, ring->slots, item);
}

bool car_ring_put_spsc(struct car_ring *ring, void *item) {
    assert(item);
    return ck_ring_enqueue_spsc(&ring->cursors, ring->slots, item);
}

void *car_ring_take_mpsc(struct car_ring *ring) {
    void *item;
    return ck_ring_dequeue_mpsc(&ring->cursors, ring->slots, &item) ? item : NULL;
}

void *car_ring_take_spsc(struct car_ring *ring) {
    void *item;
    return ck_ring_dequeue_spsc(&ring->cursors, ring->slots, &item) ? item : NULL;
}

unsigned car_ring_count(const struct car_ring *ring) {
    const ck_ring_t *cursors = &ring->cursors;
    unsigned taken = ck_pr_load_uint(&cursors->c_head);
    for (;;) {
        ck_pr_fence_load();
        unsigned put = ck_pr_load_uint(&cursors->p_tail);
        ck_pr_fence_load();
        unsigned again = ck_pr_load_uint(&cursors->c_head);
        if (again == taken) {
            return put - taken; /* nothing was taken in between, so both are of the moment p_tail was read */
        }
        taken = again;
    }
}
