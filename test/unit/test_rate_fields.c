#include "carillon/guard/rate_fields.h"

#include <stdio.h>

#include "suite.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

static void expect_fields(const struct car_rate_field *fields, size_t count, const char *wanted) {
    struct car_buf out = CAR_BUF_INIT;
    car_rate_fields_write(&out, fields, count);
    CU_ASSERT_TRUE(car_span_eq(car_buf_view(&out), car_span_cstr(wanted)));
    if (!car_span_eq(car_buf_view(&out), car_span_cstr(wanted))) {
        printf("%.*s\n", (int)out.len, out.data ? out.data : "");
    }
    car_buf_free(&out);
}

static void one_limit(void) {
    struct car_rate_field field = {"tenant", {10, 5000}, {.remaining = 3, .next = 1500 * MS, .reset = 9 * S}, NULL};
    expect_fields(&field, 1, "RateLimit-Policy: \"tenant\";q=10;w=5\r\nRateLimit: \"tenant\";r=3;t=2\r\n");
}

static void several(void) {
    struct car_rate_field fields[] = {
        {"tenant", {10, 5000}, {.remaining = 0, .next = 500 * MS}, NULL},
        {"ip", {1000000000, 86400000}, {.remaining = 999999999, .next = 1}, NULL},
        {"user", {7, 1500}, {.remaining = 7, .next = 1 * S}, NULL},
    };
    expect_fields(fields, 3,
                  "RateLimit-Policy: \"tenant\";q=10;w=5, \"ip\";q=1000000000;w=86400, \"user\";q=7;w=2\r\n"
                  "RateLimit: \"tenant\";r=0;t=1, \"ip\";r=999999999;t=0, \"user\";r=7;t=1\r\n");
    fields[0].limit.count = 0;
    fields[2].limit.count = 0;
    expect_fields(fields, 3, "RateLimit-Policy: \"ip\";q=1000000000;w=86400\r\nRateLimit: \"ip\";r=999999999;t=0\r\n");
    fields[1].limit.count = 0;
    expect_fields(fields, 3, "");
    expect_fields(fields, 0, "");
}

static void windows_and_seconds(void) {
    struct car_rate_field field = {"user", {1, 1}, {.next = 1 * S + 1001}, NULL};
    expect_fields(&field, 1, "RateLimit-Policy: \"user\";q=1;w=1\r\nRateLimit: \"user\";r=0;t=2\r\n");
    field.limit.window_ms = 1001;
    field.state.next = 1 * S + 1000; /* what a unit was rounded up by */
    expect_fields(&field, 1, "RateLimit-Policy: \"user\";q=1;w=2\r\nRateLimit: \"user\";r=0;t=1\r\n");
    field.state.next = 86400 * S;
    expect_fields(&field, 1, "RateLimit-Policy: \"user\";q=1;w=2\r\nRateLimit: \"user\";r=0;t=86400\r\n");
}

static void units(void) {
    struct car_rate_field fields[] = {
        {"tenant-bytes", {100, 1000}, {.remaining = 3}, "content-bytes"},
        {"ip", {5, 1000}, {.remaining = 4}, NULL},
    };
    expect_fields(fields, 2,
                  "RateLimit-Policy: \"tenant-bytes\";q=100;w=1;qu=\"content-bytes\", \"ip\";q=5;w=1\r\n"
                  "RateLimit: \"tenant-bytes\";r=3;t=0, \"ip\";r=4;t=0\r\n");
}

static void retry_after(void) {
    static const struct {
        uint64_t ns;
        const char *wanted;
    } ROWS[] = {
        {0, "Retry-After: 1\r\n"},
        {1, "Retry-After: 1\r\n"},
        {1 * S, "Retry-After: 1\r\n"},
        {1 * S + 2000, "Retry-After: 2\r\n"},
        {3 * S - 1, "Retry-After: 3\r\n"},
        {86400 * S, "Retry-After: 86400\r\n"},
        {UINT64_MAX - 1, "Retry-After: 18446744074\r\n"},
        {CAR_RATE_NEVER, ""},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_buf out = CAR_BUF_INIT;
        car_retry_after_write(&out, ROWS[i].ns);
        CU_ASSERT_TRUE(car_span_eq(car_buf_view(&out), car_span_cstr(ROWS[i].wanted)));
        car_buf_free(&out);
    }
}

/* A limit and what is left of it, as they come out of a take. Retry-After is never sooner than t. */
static void after_takes(void) {
    struct car_rate_field field = {.name = "tenant", .limit = {300, 1000}};
    struct car_gcra gcra = car_gcra_make(&field.limit);
    _Atomic uint64_t state = car_gcra_fresh(&gcra, S);
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, 300, &field.state), 0);
    expect_fields(&field, 1, "RateLimit-Policy: \"tenant\";q=300;w=1\r\nRateLimit: \"tenant\";r=0;t=1\r\n");
    CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, 300, &field.state), CAR_EFULL);
    CU_ASSERT_EQUAL(field.state.retry, S);
    for (uint64_t cost = 1; cost <= 300; cost++) {
        CU_ASSERT_EQUAL(car_gcra_take(&state, &gcra, S, cost, &field.state), CAR_EFULL);
        CU_ASSERT_TRUE(field.state.retry >= field.state.next);
    }
}

static const struct car_test TESTS[] = {
    {"one limit", one_limit}, {"several, and none", several}, {"windows and seconds", windows_and_seconds},
    {"units", units},         {"Retry-After", retry_after},   {"after takes", after_takes},
};

int main(void) {
    return car_suite_main("rate_fields", TESTS, sizeof TESTS / sizeof *TESTS);
}
