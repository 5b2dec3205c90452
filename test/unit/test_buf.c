#include "carillon/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "suite.h"

#define ASSERT_HOLDS(b, text) CU_ASSERT_TRUE(car_span_eq(car_buf_view(b), car_span_cstr(text)))

static void test_append(void) {
    struct car_buf b = CAR_BUF_INIT;
    CAR_BUF_LIT(&b, "one ");
    car_buf_put(&b, "two", 3);
    car_buf_char(&b, ' ');
    car_buf_span(&b, CAR_SPAN("three"));
    car_buf_span(&b, car_span_of(NULL, 0));
    ASSERT_HOLDS(&b, "one two three");
    CU_ASSERT_FALSE(b.failed);
    car_buf_free(&b);
    CU_ASSERT_PTR_NULL(b.data);
    CU_ASSERT_EQUAL(b.len + b.cap, 0);
    CAR_BUF_LIT(&b, "again");
    ASSERT_HOLDS(&b, "again");
    car_buf_free(&b);
    car_buf_free(&b);
}

static void test_numbers(void) {
    struct car_buf b = CAR_BUF_INIT;
    car_buf_u64(&b, 0);
    car_buf_char(&b, ' ');
    car_buf_u64(&b, 10);
    car_buf_char(&b, ' ');
    car_buf_u64(&b, UINT64_MAX);
    ASSERT_HOLDS(&b, "0 10 18446744073709551615");
    car_buf_free(&b);
}

/* Around every power of ten, against the C library, into a buffer that is full. */
static void test_every_length_of_numbers(void) {
    for (uint64_t power = 1;; power *= 10) {
        for (uint64_t n = power - 1; n <= power + 1; n++) {
            struct car_buf b = CAR_BUF_INIT;
            char want[32];
            snprintf(want, sizeof want, "%llu", (unsigned long long)n);
            car_buf_u64(&b, n);
            ASSERT_HOLDS(&b, want);
            b.len = b.cap;
            car_buf_u64(&b, n);
            CU_ASSERT_EQUAL(memcmp(b.data + b.len - strlen(want), want, strlen(want)), 0);
            car_buf_free(&b);
        }
        if (power > UINT64_MAX / 10) {
            break;
        }
    }
}

static void test_printf(void) {
    struct car_buf b = CAR_BUF_INIT;
    car_buf_printf(&b, "%s=%d;", "a", -1);
    ASSERT_HOLDS(&b, "a=-1;");
    /* Lengths around the room that is there, where the NUL of vsnprintf is the one byte too many. */
    for (int width = 1; width < 300; width++) {
        size_t before = b.len;
        car_buf_printf(&b, "%*d", width, 7);
        CU_ASSERT_EQUAL(b.len, before + (size_t)width);
        CU_ASSERT_EQUAL(b.data[b.len - 1], '7');
        CU_ASSERT_EQUAL(b.data[before], width == 1 ? '7' : ' ');
    }
    CU_ASSERT_TRUE(b.len <= b.cap);
    for (int around = -1; around <= 1; around++) {
        CU_ASSERT_EQUAL(car_buf_reserve(&b, 1000), 0);
        size_t width = b.cap - b.len + (size_t)(around + 1) - 1;
        car_buf_printf(&b, "%*d", (int)width, 7);
        CU_ASSERT_EQUAL(b.data[b.len - 1], '7');
    }
    car_buf_free(&b);
}

static void test_growth_doubles(void) {
    struct car_buf b = CAR_BUF_INIT;
    size_t moves = 0;
    for (size_t i = 0; i < 1000000; i++) {
        size_t cap = b.cap;
        car_buf_char(&b, (char)('a' + i % 26));
        moves += b.cap != cap;
    }
    CU_ASSERT_EQUAL(b.len, 1000000);
    CU_ASSERT_TRUE(moves <= 20);
    for (size_t i = 0; i < b.len; i++) {
        if (b.data[i] != (char)('a' + i % 26)) {
            CU_FAIL("content changed while growing");
            break;
        }
    }
    CU_ASSERT_EQUAL(car_buf_reserve(&b, 5000000), 0);
    CU_ASSERT_TRUE(b.cap - b.len >= 5000000);
    CU_ASSERT_EQUAL(b.len, 1000000);
    car_buf_free(&b);
}

static void test_failure_is_sticky(void) {
    struct car_buf b = CAR_BUF_INIT;
    CAR_BUF_LIT(&b, "kept");
    CU_ASSERT_EQUAL(car_buf_reserve(&b, SIZE_MAX), CAR_ENOMEM);
    CU_ASSERT_TRUE(b.failed);
    CAR_BUF_LIT(&b, "x");
    car_buf_char(&b, 'x');
    car_buf_u64(&b, 1);
    car_buf_printf(&b, "%d", 1);
    CU_ASSERT_EQUAL(car_buf_reserve(&b, 1), CAR_ENOMEM);
    ASSERT_HOLDS(&b, "kept");
    car_buf_free(&b);
    CU_ASSERT_FALSE(b.failed);
}

static void test_consume(void) {
    struct car_buf b = CAR_BUF_INIT;
    car_buf_consume(&b, 0);
    CAR_BUF_LIT(&b, "abcdef");
    car_buf_consume(&b, 2);
    ASSERT_HOLDS(&b, "cdef");
    car_buf_consume(&b, 0);
    CAR_BUF_LIT(&b, "g");
    ASSERT_HOLDS(&b, "cdefg");
    car_buf_consume(&b, 5);
    CU_ASSERT_EQUAL(b.len, 0);
    car_buf_free(&b);
}

static const struct car_test TESTS[] = {{"append", test_append},
                                        {"numbers", test_numbers},
                                        {"numbers of every length", test_every_length_of_numbers},
                                        {"printf", test_printf},
                                        {"growth doubles", test_growth_doubles},
                                        {"failure is sticky", test_failure_is_sticky},
                                        {"consume", test_consume}};

int main(void) {
    return car_suite_main("buf", TESTS, sizeof TESTS / sizeof *TESTS);
}
