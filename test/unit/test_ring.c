#include "carillon/feed/ring.h"

#include <ck_ring.h>
#include <limits.h>

#include "suite.h"

static int items[8];

typedef bool put_fn(struct car_ring *ring, void *item);
typedef void *take_fn(struct car_ring *ring);

/* Full, empty, order, count; `turns` times round the slots. */
static void check_discipline(put_fn *put, take_fn *take, struct car_ring *ring, unsigned turns) {
    CU_ASSERT_EQUAL(car_ring_count(ring), 0);
    CU_ASSERT_PTR_NULL(take(ring));
    for (unsigned turn = 0; turn < turns; turn++) {
        CU_ASSERT_TRUE(put(ring, &items[0]));
        CU_ASSERT_TRUE(put(ring, &items[1]));
        CU_ASSERT_EQUAL(car_ring_count(ring), 2);
        CU_ASSERT_TRUE(put(ring, &items[2]));
        CU_ASSERT_FALSE(put(ring, &items[3])); /* slots - 1 fit */
        CU_ASSERT_EQUAL(car_ring_count(ring), 3);
        CU_ASSERT_PTR_EQUAL(take(ring), &items[0]);
        CU_ASSERT_EQUAL(car_ring_count(ring), 2);
        CU_ASSERT_TRUE(put(ring, &items[4]));
        CU_ASSERT_PTR_EQUAL(take(ring), &items[1]);
        CU_ASSERT_PTR_EQUAL(take(ring), &items[2]);
        CU_ASSERT_PTR_EQUAL(take(ring), &items[4]);
        CU_ASSERT_PTR_NULL(take(ring));
        CU_ASSERT_EQUAL(car_ring_count(ring), 0);
    }
}

static void mpsc(void) {
    struct car_ring *ring = car_ring_new(4);
    check_discipline(car_ring_put_mpsc, car_ring_take_mpsc, ring, 5);
    car_ring_free(&ring);
    CU_ASSERT_PTR_NULL(ring);
}

static void spsc(void) {
    struct car_ring *ring = car_ring_new(4);
    check_discipline(car_ring_put_spsc, car_ring_take_spsc, ring, 5);
    car_ring_free(&ring);
}

static void wrap_around(void) {
    struct car_ring *ring = car_ring_new(4);
    ck_ring_t *cursors = (ck_ring_t *)(void *)ring; /* car_ring's first member */
    for (unsigned back = 0; back < 8; back++) {
        cursors->c_head = cursors->p_head = cursors->p_tail = UINT_MAX - back;
        check_discipline(car_ring_put_mpsc, car_ring_take_mpsc, ring, 3);
        cursors->c_head = cursors->p_head = cursors->p_tail = UINT_MAX - back;
        check_discipline(car_ring_put_spsc, car_ring_take_spsc, ring, 3);
    }
    car_ring_free(&ring);
}

static void big(void) {
    static char many[65536];
    struct car_ring *ring = car_ring_new(65536);
    unsigned put = 0;
    while (car_ring_put_mpsc(ring, &many[put])) {
        put++;
    }
    CU_ASSERT_EQUAL(put, 65535);
    CU_ASSERT_EQUAL(car_ring_count(ring), 65535);
    unsigned taken = 0;
    char *item;
    while ((item = car_ring_take_mpsc(ring)) && item == &many[taken]) {
        taken++;
    }
    CU_ASSERT_EQUAL(taken, 65535);
    CU_ASSERT_PTR_NULL(item);
    car_ring_free(&ring);
}

static const struct car_test TESTS[] = {
    {"mpsc: order, full, empty, count", mpsc},
    {"spsc: order, full, empty, count", spsc},
    {"cursors wrap around", wrap_around},
    {"the largest ring", big},
};

int main(void) {
    return car_suite_main("ring", TESTS, sizeof TESTS / sizeof *TESTS);
}
