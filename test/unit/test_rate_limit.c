#include "carillon/guard/rate_limit.h"

#include "carillon/base/err.h"

#include "suite.h"

static void good(void) {
    static const struct {
        const char *text;
        uint64_t count, window_ms;
    } ROWS[] = {
        {"10/5s", 10, 5000},
        {"100/15m", 100, 900000},
        {"1000/1s", 1000, 1000},
        {"1/24h", 1, 86400000},
        {"7/500ms", 7, 500},
        {"3/2", 3, 2000},
        {"1000000000/1ms", 1000000000, 1},
        {"2/0.5", 2, 500},
        {"0010/1440m", 10, 86400000},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_rate_limit limit = {0};
        CU_ASSERT_EQUAL(car_rate_limit_read(ROWS[i].text, &limit), 0);
        CU_ASSERT_EQUAL(limit.count, ROWS[i].count);
        CU_ASSERT_EQUAL(limit.window_ms, ROWS[i].window_ms);
    }
}

static void refused(const char *const *texts, int err) {
    for (; *texts; texts++) {
        struct car_rate_limit limit = {.count = 5, .window_ms = 5};
        CU_ASSERT_EQUAL(car_rate_limit_read(*texts, &limit), err);
        CU_ASSERT_EQUAL(limit.count, 0);
        CU_ASSERT_EQUAL(limit.window_ms, 0);
    }
}

static void bad(void) {
    static const char *const NONE[] = {"",      "/",     "10",     "10/",   "/5s", "10/5s/", "10/5x", "-1/5s", "+1/5s",
                                       "1 /5s", "1/ 5s", "1.5/1s", "1/-5s", "a/b", "10//5s", "1/5S",  "0x1/1", NULL};
    static const char *const OUT_OF_RANGE[] = {"0/5s",
                                               "1000000001/5s",
                                               "1/0",
                                               "1/0ms",
                                               "1/0.0001s",
                                               "1/86400001ms",
                                               "1/25h",
                                               "99999999999999999999999999/1s",
                                               "1/99999999999999999999999999h",
                                               NULL};
    refused(NONE, CAR_EINVAL);
    refused(OUT_OF_RANGE, CAR_ETOOBIG);
}

static const struct car_test TESTS[] = {{"limits", good}, {"what is none", bad}};

int main(void) {
    return car_suite_main("rate_limit", TESTS, sizeof TESTS / sizeof *TESTS);
}
