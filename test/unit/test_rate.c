#include "feed/rate.h"

#include "suite.h"

#define NOON       INT64_C(1795262400000) /* at a bucket's beginning */
#define MINUTE     60000
#define NEAR(a, b) CU_ASSERT_DOUBLE_EQUAL((a), (b), 1e-9)

static void test_empty(void) {
    struct car_rate rate = {0};
    NEAR(car_rate_per_second(&rate, NOON), 0);
    NEAR(car_rate_per_second(&rate, 0), 0);
}

static void test_one_burst(void) {
    struct car_rate rate = {0};
    car_rate_add(&rate, NOON, 120);
    NEAR(car_rate_per_second(&rate, NOON), 2);
    NEAR(car_rate_per_second(&rate, NOON + 30000), 2);
    NEAR(car_rate_per_second(&rate, NOON + 54999), 2);
    NEAR(car_rate_per_second(&rate, NOON + MINUTE), 0);
    NEAR(car_rate_per_second(&rate, NOON + 100 * MINUTE), 0);
}

static void test_steady(void) {
    struct car_rate rate = {0};
    for (int64_t t = 0; t < 10 * MINUTE; t += 100) {
        car_rate_add(&rate, NOON + t, 3);
        if (t > 2 * MINUTE) {
            double per_second = car_rate_per_second(&rate, NOON + t);
            CU_ASSERT(per_second > 27 && per_second <= 30); /* the newest bucket has only begun */
        }
    }
}

static void test_slides(void) {
    struct car_rate rate = {0};
    for (int64_t bucket = 0; bucket < CAR_RATE_BUCKETS; bucket++) {
        car_rate_add(&rate, NOON + bucket * CAR_RATE_BUCKET_MS, 60);
    }
    int64_t last = NOON + (CAR_RATE_BUCKETS - 1) * CAR_RATE_BUCKET_MS;
    NEAR(car_rate_per_second(&rate, last), CAR_RATE_BUCKETS);
    for (int64_t later = 1; later <= CAR_RATE_BUCKETS; later++) {
        NEAR(car_rate_per_second(&rate, last + later * CAR_RATE_BUCKET_MS), (double)(CAR_RATE_BUCKETS - later));
    }
    car_rate_add(&rate, last + 3 * CAR_RATE_BUCKET_MS, 60); /* over two buckets in which nothing came */
    NEAR(car_rate_per_second(&rate, last + 3 * CAR_RATE_BUCKET_MS), CAR_RATE_BUCKETS - 3 + 1);
}

/* What a bucket held a round ago does not come back. */
static void test_long_silence(void) {
    for (int64_t gap = 10; gap < 30; gap++) {
        struct car_rate rate = {0};
        for (int64_t bucket = 0; bucket < CAR_RATE_BUCKETS; bucket++) {
            car_rate_add(&rate, NOON + bucket * CAR_RATE_BUCKET_MS, 600);
        }
        int64_t now = NOON + (CAR_RATE_BUCKETS - 1 + gap) * CAR_RATE_BUCKET_MS;
        car_rate_add(&rate, now, 60);
        double left = gap < CAR_RATE_BUCKETS ? (double)(CAR_RATE_BUCKETS - gap) * 10 : 0;
        NEAR(car_rate_per_second(&rate, now), left + 1);
    }
}

/* A clock that was set back loses nothing, and counts on. */
static void test_clock_set_back(void) {
    struct car_rate rate = {0};
    car_rate_add(&rate, NOON, 60);
    car_rate_add(&rate, NOON - 10 * MINUTE, 60);
    NEAR(car_rate_per_second(&rate, NOON), 2);
    NEAR(car_rate_per_second(&rate, NOON - 10 * MINUTE), 2);
    NEAR(car_rate_per_second(&rate, NOON + MINUTE), 0);
}

static const struct car_test TESTS[] = {
    {"nothing", test_empty},    {"one burst", test_one_burst},         {"a steady rate", test_steady},
    {"it slides", test_slides}, {"a long silence", test_long_silence}, {"a clock set back", test_clock_set_back},
};

int main(void) {
    return car_suite_main("rate", TESTS, sizeof TESTS / sizeof *TESTS);
}
