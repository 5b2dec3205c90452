#include "carillon/feed/shares.h"

#include <string.h>

#include "carillon/feed/memory.h"

#include "feed_fixture.h"
#include "suite.h"

static struct car_shares shares;

static void begin(const uint64_t *used, unsigned count) {
    memset(&shares, 0, sizeof shares);
    for (unsigned i = 0; i < count; i++) {
        car_shares_add(&shares, used[i]);
    }
}

/* What those above the level have beyond it. */
static uint64_t let_go(const uint64_t *used, unsigned count, uint64_t level) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += used[i] > level ? used[i] - level : 0;
    }
    return bytes;
}

/* The one that uses most is cut alone, as long as that is enough. */
static void test_the_most_is_first(void) {
    static const uint64_t used[] = {1000, 50000, 900000, 100000000};
    begin(used, 4);
    uint64_t level = car_shares_level(&shares, 60000000, 1);
    CU_ASSERT_TRUE(level > 900000);
    CU_ASSERT_TRUE(let_go(used, 4, level) >= 60000000);
    CU_ASSERT_TRUE(let_go(used, 4, level) <= 61000000);
}

/* For any excess: enough goes, not much more than that, and all who are cut end on one level. */
static void test_levels(void) {
    enum { TENANTS = 300 };
    uint64_t used[TENANTS];
    uint64_t total = 0;
    uint64_t seed = 1;
    for (unsigned i = 0; i < TENANTS; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        used[i] = (seed >> 40) >> (i % 20);
        total += used[i];
    }
    begin(used, TENANTS);
    for (unsigned percent = 1; percent < 100; percent++) {
        uint64_t excess = total / 100 * percent;
        uint64_t level = car_shares_level(&shares, excess, 0);
        uint64_t gone = let_go(used, TENANTS, level);
        CU_ASSERT_TRUE(gone >= excess);
        CU_ASSERT_TRUE(gone <= excess + (total - excess) / 2);
    }
}

static void test_edges(void) {
    static const uint64_t used[] = {0, 1, 2, 3, 4, 5, UINT64_C(1) << 40};
    begin(NULL, 0);
    CU_ASSERT_EQUAL(car_shares_level(&shares, 1, 77), 77); /* nobody has anything */
    begin(used, 7);
    CU_ASSERT_EQUAL(car_shares_level(&shares, UINT64_C(1) << 50, 77), 77); /* not all of it would be enough */
    CU_ASSERT_TRUE(car_shares_level(&shares, 1, 77) <= UINT64_C(1) << 40);
    CU_ASSERT_TRUE(car_shares_level(&shares, 1, 77) > 5);
}

/* Newcomers are let in of those below the level alone, and of nobody where all together could not let go of enough. */
static void test_newcomers(void) {
    enum { MIB = 1 << 20 };
    static struct feed_fixture f;
    feed_open(&f, 1, 10);
    struct car_tenant *much = feed_tenant(&f, "much");
    struct car_tenant *some = feed_tenant(&f, "some");
    struct car_tenant *none = feed_tenant(&f, "none");
    car_memory_count(much, 40 * MIB);
    car_memory_count(some, 8 * MIB);
    static const struct {
        unsigned excess;
        bool some, none;
    } want[] = {{10, true, true}, {31, true, true}, {36, false, true}, {47, false, true}, {48, false, false}};
    CU_ASSERT_FALSE(car_memory_is_modest(&f.feed, none)); /* it is not asked before memory is short */
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        car_shares_admit(&f.feed, (uint64_t)want[i].excess * MIB);
        CU_ASSERT_FALSE(car_memory_is_modest(&f.feed, much));
        CU_ASSERT_EQUAL(car_memory_is_modest(&f.feed, some), want[i].some);
        CU_ASSERT_EQUAL(car_memory_is_modest(&f.feed, none), want[i].none);
    }
    car_shares_lift(&f.feed);
    CU_ASSERT_FALSE(car_memory_is_modest(&f.feed, none));
    car_memory_count(much, -40 * MIB);
    car_memory_count(some, -8 * MIB);
    feed_close(&f);
}

int main(void) {
    static const struct car_test tests[] = {
        {"who uses most is first", test_the_most_is_first},
        {"levels for any excess", test_levels},
        {"edges", test_edges},
        {"newcomers", test_newcomers},
    };
    return car_suite_main("shares", tests, sizeof tests / sizeof *tests);
}
