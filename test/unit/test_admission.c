#include "carillon/guard/admission.h"

#include "carillon/guard/recent.h"

#include "suite.h"

#define MS     UINT64_C(1000000)
#define BEGUN  (UINT64_C(1) << 40)
#define CROWD  100
#define WINDOW 1000

static struct car_admission door;
static _Atomic uint64_t came[CROWD];
static unsigned in[CROWD];
static uint64_t now;

static void set_up(uint64_t count) {
    door = (struct car_admission){0};
    car_admission_init(&door, &(struct car_rate_limit){.count = count, .window_ms = WINDOW});
    memset(in, 0, sizeof in);
    for (unsigned i = 0; i < CROWD; i++) {
        atomic_store(&came[i], 0);
    }
    now = BEGUN;
}

static bool ask(unsigned tenant) {
    unsigned retry = 0;
    bool passes = car_admission_ask(&door, &came[tenant], now, &retry);
    in[tenant] += passes;
    CU_ASSERT_EQUAL(passes, retry == 0);
    return passes;
}

/* `tenants` storm for so long, each with `a_ms` handshakes in a millisecond. */
static void storm(unsigned tenants, unsigned ms, unsigned a_ms) {
    for (unsigned t = 0; t < ms; t++, now += MS) {
        for (unsigned k = 0; k < a_ms * tenants; k++) {
            (void)ask(k % tenants);
        }
    }
}

static unsigned all(void) {
    unsigned n = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        n += in[i];
    }
    return n;
}

static void test_no_limit(void) {
    set_up(0);
    storm(1, 100, 100);
    CU_ASSERT_EQUAL(in[0], 10000);
}

/* One that is alone gets all of the rate, and never more than the limit. */
static void test_alone(void) {
    set_up(500);
    storm(1, 10000, 5);
    CU_ASSERT_TRUE(in[0] <= 500 + 5000);
    CU_ASSERT_TRUE(in[0] >= 5000);
}

/* Whoever comes in the middle of a storm gets in, as if there were none. */
static void test_quiet_beside_a_storm(void) {
    set_up(500);
    storm(1, 3000, 5);
    unsigned refused = 0;
    for (unsigned i = 0; i < 50; i++) {
        storm(1, 100, 5);
        refused += !ask(1);
    }
    CU_ASSERT_EQUAL(refused, 0);
    CU_ASSERT_TRUE(in[0] > 4000 - 100);
}

/* A tenant that begins to storm later gets its half. */
static void test_late(void) {
    set_up(1000);
    storm(1, 5000, 5);
    unsigned before = in[0];
    storm(2, 5000, 5);
    CU_ASSERT_TRUE(in[1] > 2200 && in[1] < 3300);
    CU_ASSERT_TRUE(in[0] - before > 1700);
}

static void test_equal_shares(void) {
    set_up(2000);
    storm(CROWD, 5000, 1);
    unsigned least = UINT32_MAX;
    unsigned most = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        least = in[i] < least ? in[i] : least;
        most = in[i] > most ? in[i] : most;
    }
    CU_ASSERT_TRUE(all() <= 2000 + 10000);
    CU_ASSERT_TRUE(all() >= 10000);
    CU_ASSERT_TRUE(least * 10 >= most * 8);
}

/* Small limits let somebody in as well. */
static void test_small(void) {
    for (uint64_t count = 1; count <= 3; count++) {
        set_up(count);
        storm(2, 10000, 1);
        CU_ASSERT_TRUE(all() >= 10 * count - 1);
        CU_ASSERT_TRUE(all() <= 11 * count);
    }
}

/* The more are refused, the further apart they are asked to come back. */
static void test_retry(void) {
    unsigned least = UINT32_MAX;
    unsigned most = 0;
    unsigned retry = 0;
    set_up(10);
    while (ask(0)) {
    }
    CU_ASSERT_FALSE(car_admission_ask(&door, &came[0], now, &retry));
    CU_ASSERT_TRUE(retry >= 1 && retry <= 3);
    for (unsigned i = 0; i < 2000; i++) {
        CU_ASSERT_FALSE(car_admission_ask(&door, &came[0], now, &retry));
        least = retry < least ? retry : least;
        most = retry > most ? retry : most;
    }
    CU_ASSERT_EQUAL(least, 1);
    CU_ASSERT_EQUAL(most, 31);
}

/* Those who are nobody's yet share one count among them. */
static void test_nobody(void) {
    unsigned retry = 0;
    set_up(9);
    unsigned n = 0;
    while (car_admission_ask(&door, NULL, now, &retry)) {
        n++;
    }
    CU_ASSERT_EQUAL(n, 6);
    CU_ASSERT_TRUE(ask(0));
}

static void test_news(void) {
    set_up(9);
    CU_ASSERT_TRUE(car_admission_is_news(&door, now));
    CU_ASSERT_FALSE(car_admission_is_news(&door, now + 59999 * MS));
    CU_ASSERT_TRUE(car_admission_is_news(&door, now + 60001 * MS));
}

static void test_recent(void) {
    _Atomic uint64_t state = 0;
    uint64_t ms = (UINT64_C(1) << 32) - 500; /* its milliseconds wrap on the way */
    CU_ASSERT_EQUAL(car_recent_read(&state, 1000, ms), 0);
    for (unsigned i = 0; i < 1000; i++) {
        car_recent_add(&state, 1000, ms);
    }
    CU_ASSERT_EQUAL(car_recent_read(&state, 1000, ms), 1000);
    CU_ASSERT_EQUAL(car_recent_read(&state, 1000, ms - 10), 1000);
    CU_ASSERT_DOUBLE_EQUAL(car_recent_read(&state, 1000, ms + 1000), 367.9, 0.1);
    CU_ASSERT_TRUE(car_recent_read(&state, 1000, ms + 60000) < 0.001F);
    for (unsigned i = 0; i < 10000; i++) {
        car_recent_add(&state, 1000, ms += 2); /* a steady stream of 500 a window */
    }
    CU_ASSERT_DOUBLE_EQUAL(car_recent_read(&state, 1000, ms), 500, 5);
}

static const struct car_test TESTS[] = {
    {"no limit", test_no_limit},
    {"alone", test_alone},
    {"quiet beside a storm", test_quiet_beside_a_storm},
    {"late", test_late},
    {"equal shares", test_equal_shares},
    {"small limits", test_small},
    {"when to come back", test_retry},
    {"nobody's", test_nobody},
    {"news", test_news},
    {"lately", test_recent},
};

int main(void) {
    return car_suite_main("admission", TESTS, sizeof TESTS / sizeof *TESTS);
}
