#include "carillon/base/clock.h"

#include <stdio.h>
#include <time.h>

#include "carillon/base/err.h"
#include "suite.h"

static void check_written(int64_t ms, const char *want) {
    char text[CAR_RFC3339_LEN + 1];
    text[CAR_RFC3339_LEN] = '\0';
    car_rfc3339_write(ms, text);
    CU_ASSERT_STRING_EQUAL(text, want);
}

static void test_write(void) {
    check_written(0, "1970-01-01T00:00:00.000Z");
    check_written(1795206960123, "2026-11-20T20:36:00.123Z");
    check_written(951782400000 - 1, "2000-02-28T23:59:59.999Z");
    check_written(951782400000, "2000-02-29T00:00:00.000Z");
    check_written(4107542400000, "2100-03-01T00:00:00.000Z");
    check_written(253402300799999, "9999-12-31T23:59:59.999Z");
    check_written(0, "1970-01-01T00:00:00.000Z");
    /* Beyond the years that have four digits: the nearest that has. */
    check_written(-1, "1970-01-01T00:00:00.000Z");
    check_written(INT64_MAX, "9999-12-31T23:59:59.999Z");
}

/* Against the C library, every 1.3 days, up and down, so that the cached day is right and wrong in turns. */
static void test_write_agrees(void) {
    size_t wrong = 0;
    for (int64_t i = 0; i < 100000; i++) {
        int64_t ms = i * 113243217;
        time_t seconds = (time_t)(ms / 1000);
        struct tm tm;
        char want[64];
        char got[CAR_RFC3339_LEN];
        gmtime_r(&seconds, &tm);
        size_t len = strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(want + len, sizeof want - len, ".%03dZ", (int)(ms % 1000));
        car_rfc3339_write(ms, got);
        wrong += memcmp(got, want, CAR_RFC3339_LEN) != 0;
        int64_t back = -1;
        wrong += car_rfc3339_read(car_span_of(got, CAR_RFC3339_LEN), &back) != 0 || back != ms;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Every millisecond around a second's and a day's border, to and fro: what is kept of the last call fits or does not.
 */
static void test_write_steps(void) {
    size_t wrong = 0;
    for (int64_t i = 0; i < 5000; i++) {
        int64_t offset = i % 2 ? i : -i;
        int64_t ms = INT64_C(951782400000) + offset;
        char got[CAR_RFC3339_LEN];
        int64_t back = -1;
        car_rfc3339_write(ms, got);
        wrong += car_rfc3339_read(car_span_of(got, CAR_RFC3339_LEN), &back) != 0 || back != ms;
        car_rfc3339_write(i, got);
        wrong += car_rfc3339_read(car_span_of(got, CAR_RFC3339_LEN), &back) != 0 || back != i;
        car_rfc3339_write(i + 1, got);
        wrong += car_rfc3339_read(car_span_of(got, CAR_RFC3339_LEN), &back) != 0 || back != i + 1;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_read(void) {
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-20T20:36:00.123Z", 1795206960123},
        {"2026-11-20t20:36:00.123z", 1795206960123},
        {"2026-11-20 20:36:00.123Z", 1795206960123},
        {"2026-11-20T20:36:00.1Z", 1795206960100},
        {"2026-11-20T20:36:00.123999999999999Z", 1795206960123},
        {"2026-11-20T22:36:00.123+02:00", 1795206960123},
        {"2026-11-20T10:06:00.123-10:30", 1795206960123},
        {"2026-11-20T20:36:00.123-00:00", 1795206960123},
        {"2026-11-21T00:00:00+23:59", 1795132860000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"0000-01-01T00:00:00Z", -62167219200000},
        {"0000-03-01T00:00:00Z", -62162035200000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"2016-12-31T15:59:60.5-08:00", 1483228800500},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = 7;
        CU_ASSERT_EQUAL(car_rfc3339_read(car_span_cstr(good[i].text), &ms), 0);
        CU_ASSERT_EQUAL(ms, good[i].ms);
    }
}

static void test_read_refuses(void) {
    static const char *const bad[] = {"",
                                      "2026-11-20",
                                      "2026-11-20T20:36:00",
                                      "2026-11-20T20:36Z",
                                      "2026-11-20T20:36:00.Z",
                                      "2026-11-20T20:36:00,5Z",
                                      "2026-11-20T20:36:00Z ",
                                      " 2026-11-20T20:36:00Z",
                                      "2026-13-20T20:36:00Z",
                                      "2026-00-20T20:36:00Z",
                                      "2026-11-31T20:36:00Z",
                                      "2026-11-00T20:36:00Z",
                                      "2026-02-29T20:36:00Z",
                                      "2100-02-29T20:36:00Z",
                                      "2026-11-20T24:00:00Z",
                                      "2026-11-20T20:60:00Z",
                                      "2026-11-20T20:36:61Z",
                                      "2026-11-20T20:36:60Z",
                                      "2026-11-20T20:36:00+24:00",
                                      "2026-11-20T20:36:00+02:60",
                                      "2026-11-20T20:36:00+0200",
                                      "2026-11-20T20:36:00+2:00",
                                      "+026-11-20T20:36:00Z",
                                      "26-11-20T20:36:00Z",
                                      "20261120T203600Z",
                                      "2026-11-20X20:36:00Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = 7;
        CU_ASSERT_EQUAL(car_rfc3339_read(car_span_cstr(bad[i]), &ms), CAR_EINVAL);
        CU_ASSERT_EQUAL(ms, 7);
    }
    int64_t ms = 7;
    CU_ASSERT_EQUAL(car_rfc3339_read(CAR_SPAN("2026-11-20\0"
                                              "20:36:00Z"),
                                     &ms),
                    CAR_EINVAL);
}

static void test_clocks(void) {
    int64_t wall = car_clock_wall_ms();
    time_t now = time(NULL);
    CU_ASSERT_TRUE(wall / 1000 >= now - 2 && wall / 1000 <= now + 2);
    uint64_t last = car_clock_mono_us();
    uint64_t start = last;
    size_t back = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t next = car_clock_mono_us();
        back += next < last;
        last = next;
    }
    CU_ASSERT_EQUAL(back, 0);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    CU_ASSERT_TRUE(car_clock_mono_us() - start >= 20000);
    start = car_clock_mono_us();
    uint64_t between = car_clock_mono_ns() / 1000;
    CU_ASSERT_TRUE(start <= between && between <= car_clock_mono_us());
}

static const struct car_test TESTS[] = {{"write", test_write},
                                        {"write agrees with the C library", test_write_agrees},
                                        {"write, step by step", test_write_steps},
                                        {"read", test_read},
                                        {"read refuses", test_read_refuses},
                                        {"clocks", test_clocks}};

int main(void) {
    return car_suite_main("clock", TESTS, sizeof TESTS / sizeof *TESTS);
}
