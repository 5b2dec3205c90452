#include "carillon/feed/laggards.h"

#include <string.h>
#include <time.h>

#include "carillon/base/clock.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/turn.h"
#include "carillon/runtime/worker.h"

#include "feed_fixture.h"
#include "suite.h"

static struct feed_fixture f;
static struct car_laggard found[8];

static unsigned find(unsigned worker, unsigned max, unsigned *total) {
    (void)car_turn_mark();
    return car_laggards_find(f.workers[worker], found, max, total);
}

/* Nobody is told of who has been behind for less than a second. */
static void age(struct feed_subscriber *s) {
    s->session.behind_s -= 5;
}

static void join_stalled(struct feed_subscriber *s, unsigned worker, struct car_tenant *tenant, unsigned takes) {
    *s = (struct feed_subscriber){.session.wire = CAR_WIRE_SSE, .limited = true, .budget = takes};
    CU_ASSERT_EQUAL_FATAL(feed_join(s, f.workers[worker], tenant, NULL), 0);
}

static void publish_each(struct car_tenant *tenant, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, 1), 1);
        feed_settle(&f);
    }
}

static void test_furthest_first(void) {
    struct feed_subscriber far, near, fast = {.session.wire = CAR_WIRE_WS};
    unsigned total = 9;
    feed_open(&f, 2, 500);
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    (void)car_turn_mark();
    join_stalled(&far, 1, a, 2);
    join_stalled(&near, 1, b, 5);
    near.session.wire = CAR_WIRE_SIO_ROOT_WS;
    CU_ASSERT_EQUAL_FATAL(feed_join(&fast, f.workers[1], b, NULL), 0);
    publish_each(a, 10);
    publish_each(b, 10);
    CU_ASSERT_EQUAL(find(1, 8, &total), 0); /* they have only just fallen behind */
    CU_ASSERT_EQUAL(total, 0);
    int64_t now = car_clock_wall_ms();
    age(&far);
    age(&near);
    CU_ASSERT_EQUAL_FATAL(find(1, 8, &total), 2);
    CU_ASSERT_EQUAL(total, 2);
    CU_ASSERT_PTR_EQUAL(found[0].tenant, a);
    CU_ASSERT_EQUAL(found[0].events, 8);
    CU_ASSERT_EQUAL(found[0].transport, CAR_BY_SSE);
    CU_ASSERT(found[0].since_ms >= now - 7000 && found[0].since_ms <= now - 4000);
    CU_ASSERT_STRING_EQUAL(found[0].request_id, ""); /* this transport knows nothing */
    CU_ASSERT_PTR_EQUAL(found[1].tenant, b);
    CU_ASSERT_EQUAL(found[1].events, 5);
    CU_ASSERT_EQUAL(found[1].transport, CAR_BY_SOCKETIO);
    CU_ASSERT_EQUAL(find(0, 8, &total), 0); /* another worker's */
    CU_ASSERT_EQUAL_FATAL(find(1, 1, &total), 1);
    CU_ASSERT_EQUAL(total, 2);
    CU_ASSERT_PTR_EQUAL(found[0].tenant, a);
    CU_ASSERT_EQUAL(find(1, 0, &total), 0);
    CU_ASSERT_EQUAL(total, 2);
    feed_resume(&far);
    feed_settle(&f);
    CU_ASSERT_EQUAL_FATAL(find(1, 8, &total), 1);
    CU_ASSERT_PTR_EQUAL(found[0].tenant, b);
    feed_leave(&near);
    CU_ASSERT_EQUAL(find(1, 8, &total), 0);
    feed_leave(&far);
    feed_leave(&fast);
    feed_close(&f);
}

/* The order holds, whoever is met first. */
static void test_order(void) {
    enum { MANY = 12 };
    static struct feed_subscriber s[MANY];
    unsigned total = 0;
    feed_open(&f, 1, 500);
    (void)car_turn_mark();
    for (unsigned i = 0; i < MANY; i++) {
        char id[2] = {(char)('a' + i), '\0'};
        struct car_tenant *tenant = feed_tenant(&f, id);
        join_stalled(&s[i], 0, tenant, i * 7 % MANY);
        publish_each(tenant, MANY);
        age(&s[i]);
    }
    CU_ASSERT_EQUAL_FATAL(find(0, 8, &total), 8);
    CU_ASSERT_EQUAL(total, MANY);
    for (unsigned i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(found[i].events, MANY - i);
    }
    for (unsigned i = 0; i < MANY; i++) {
        feed_leave(&s[i]);
    }
    feed_close(&f);
}

/* Who has asked for much, and is reading it, is not slow. */
static void test_joining(void) {
    struct feed_subscriber s = {.session.wire = CAR_WIRE_SSE, .limited = true};
    unsigned total = 0;
    feed_open(&f, 1, 500);
    struct car_tenant *a = feed_tenant(&f, "a");
    publish_each(a, 10);
    CU_ASSERT_EQUAL_FATAL(feed_join_since(&s, f.workers[0], a, 0), 0);
    feed_settle(&f);
    CU_ASSERT_EQUAL(s.session.state, CAR_SESSION_BEHIND);
    age(&s);
    CU_ASSERT_EQUAL(find(0, 8, &total), 0);
    feed_leave(&s);
    feed_close(&f);
}

/* Lanes come and go in any order. */
static void test_lanes(void) {
    struct feed_subscriber s[3];
    unsigned total = 0;
    feed_open(&f, 1, 500);
    struct car_tenant *tenants[3] = {feed_tenant(&f, "a"), feed_tenant(&f, "b"), feed_tenant(&f, "c")};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++) {
            join_stalled(&s[i], 0, tenants[i], 0);
            publish_each(tenants[i], 1);
            age(&s[i]);
        }
        for (unsigned i = 0; i < 3; i++) {
            CU_ASSERT_EQUAL(find(0, 8, &total), 3 - i);
            feed_leave(&s[(i + round) % 3]);
        }
        CU_ASSERT_EQUAL(find(0, 8, &total), 0);
        CU_ASSERT_PTR_NULL(car_feed_local(f.workers[0]->feed)->lanes);
    }
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"the furthest behind first", test_furthest_first},
    {"order", test_order},
    {"who is joining", test_joining},
    {"lanes come and go", test_lanes},
};

int main(void) {
    return car_suite_main("laggards", TESTS, sizeof TESTS / sizeof *TESTS);
}
