#include "carillon/base/span.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "suite.h"

static void check_part(struct car_span *rest, char sep, const char *want) {
    struct car_span part;
    CU_ASSERT_TRUE_FATAL(car_span_next(rest, sep, &part));
    CU_ASSERT_TRUE(car_span_eq(part, car_span_cstr(want)));
}

static void test_eq(void) {
    CU_ASSERT_TRUE(car_span_eq(CAR_SPAN("abc"), car_span_cstr("abc")));
    CU_ASSERT_FALSE(car_span_eq(CAR_SPAN("abc"), CAR_SPAN("abd")));
    CU_ASSERT_FALSE(car_span_eq(CAR_SPAN("abc"), CAR_SPAN("ab")));
    CU_ASSERT_TRUE(car_span_eq(car_span_cstr(NULL), CAR_SPAN("")));
    CU_ASSERT_TRUE(car_span_eq(car_span_of("a\0b", 3), CAR_SPAN("a\0b")));
    CU_ASSERT_FALSE(car_span_eq(car_span_of("a\0b", 3), CAR_SPAN("a\0c")));
}

static void test_ieq(void) {
    CU_ASSERT_TRUE(car_span_ieq(CAR_SPAN("Upgrade"), CAR_SPAN("uPGRADE")));
    CU_ASSERT_FALSE(car_span_ieq(CAR_SPAN("Upgrade"), CAR_SPAN("Upgrad")));
    CU_ASSERT_FALSE(car_span_ieq(CAR_SPAN("a"), CAR_SPAN("b")));
    /* Neighbors of the letters differ from what setting the case bit makes of them. */
    CU_ASSERT_FALSE(car_span_ieq(CAR_SPAN("@"), CAR_SPAN("`")));
    CU_ASSERT_FALSE(car_span_ieq(CAR_SPAN("["), CAR_SPAN("{")));
    CU_ASSERT_FALSE(car_span_ieq(CAR_SPAN("\xc4"), CAR_SPAN("\xe4")));
    CU_ASSERT_TRUE(car_span_ieq(car_span_of(NULL, 0), CAR_SPAN("")));
}

static unsigned char lower(unsigned char c) {
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

/* Every pair of bytes, at every place of texts of every length, against the definition. */
static void test_ieq_everywhere(void) {
    size_t wrong = 0;
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        char a = (char)(pair >> 8);
        char b = (char)pair;
        bool same = lower((unsigned char)a) == lower((unsigned char)b);
        wrong += car_span_ieq(car_span_of(&a, 1), car_span_of(&b, 1)) != same;
    }
    for (size_t len = 1; len <= 80; len++) {
        char *a = malloc(len);
        char *b = malloc(len);
        CU_ASSERT_FATAL(a && b);
        memset(a, 'q', len);
        memset(b, 'Q', len);
        wrong += !car_span_ieq(car_span_of(a, len), car_span_of(b, len));
        wrong += car_span_ieq(car_span_of(a, len), car_span_of(b, len - 1));
        for (size_t at = 0; at < len; at++) {
            b[at] = 'R';
            wrong += car_span_ieq(car_span_of(a, len), car_span_of(b, len));
            b[at] = 'q';
            wrong += !car_span_ieq(car_span_of(a, len), car_span_of(b, len));
        }
        free(a);
        free(b);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_trim(void) {
    CU_ASSERT_TRUE(car_span_eq(car_span_trim(CAR_SPAN(" \t a b\t ")), CAR_SPAN("a b")));
    CU_ASSERT_TRUE(car_span_eq(car_span_trim(CAR_SPAN("a")), CAR_SPAN("a")));
    CU_ASSERT_TRUE(car_span_eq(car_span_trim(CAR_SPAN("\r\n")), CAR_SPAN("\r\n")));
    CU_ASSERT_TRUE(car_span_eq(car_span_trim(CAR_SPAN("\ra \n")), CAR_SPAN("\ra \n")));
    CU_ASSERT_TRUE(car_span_eq(car_span_trim(CAR_SPAN("a ")), CAR_SPAN("a")));
    CU_ASSERT_TRUE(car_span_eq(car_span_trim(CAR_SPAN("\ta")), CAR_SPAN("a")));
    CU_ASSERT_EQUAL(car_span_trim(CAR_SPAN(" \t ")).len, 0);
    CU_ASSERT_EQUAL(car_span_trim(car_span_of(NULL, 0)).len, 0);
}

static void test_next(void) {
    struct car_span part;
    struct car_span rest = CAR_SPAN("a,bc,,d");
    check_part(&rest, ',', "a");
    check_part(&rest, ',', "bc");
    check_part(&rest, ',', "");
    check_part(&rest, ',', "d");
    CU_ASSERT_FALSE(car_span_next(&rest, ',', &part));
    CU_ASSERT_FALSE(car_span_next(&rest, ',', &part));

    rest = CAR_SPAN(",x,");
    check_part(&rest, ',', "");
    check_part(&rest, ',', "x");
    CU_ASSERT_FALSE(car_span_next(&rest, ',', &part));

    rest = car_span_of(NULL, 0);
    CU_ASSERT_FALSE(car_span_next(&rest, ',', &part));
}

static void test_u64(void) {
    uint64_t n = 7;
    CU_ASSERT_EQUAL(car_span_u64(CAR_SPAN("0"), UINT64_MAX, &n), 0);
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(car_span_u64(CAR_SPAN("18446744073709551615"), UINT64_MAX, &n), 0);
    CU_ASSERT_EQUAL(n, UINT64_MAX);
    CU_ASSERT_EQUAL(car_span_u64(CAR_SPAN("00000000000000000042"), 42, &n), 0);
    CU_ASSERT_EQUAL(n, 42);
}

static void test_u64_refuses(void) {
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "1e3",
                                      "a",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "000000000000000000001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t n = 7;
        CU_ASSERT_EQUAL(car_span_u64(car_span_cstr(bad[i]), UINT64_MAX, &n), CAR_EINVAL);
        CU_ASSERT_EQUAL(n, 7);
    }
    uint64_t n = 7;
    CU_ASSERT_EQUAL(car_span_u64(CAR_SPAN("43"), 42, &n), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_span_u64(car_span_of(NULL, 0), 42, &n), CAR_EINVAL);
    CU_ASSERT_EQUAL(n, 7);
}

/* Every code has a text of its own, and no other number has one of theirs. */
static void test_strerror(void) {
    CU_ASSERT_STRING_EQUAL(car_strerror(CAR_OK), "no error");
    CU_ASSERT_STRING_EQUAL(car_strerror(CAR_ETOOBIG), "over a limit");
    CU_ASSERT_STRING_EQUAL(car_strerror(-1), "unknown error");
    for (int a = CAR_ECLOSED; a <= CAR_ENOMEM; a++) {
        CU_ASSERT_STRING_NOT_EQUAL(car_strerror(a), "unknown error");
        for (int b = CAR_ECLOSED; b < a; b++) {
            CU_ASSERT_STRING_NOT_EQUAL(car_strerror(a), car_strerror(b));
        }
    }
    CU_ASSERT_STRING_EQUAL(car_strerror(CAR_ENOFILE - 1), "unknown error");
}

static const struct car_test TESTS[] = {{"equality", test_eq},
                                        {"equality without case", test_ieq},
                                        {"equality without case, everywhere", test_ieq_everywhere},
                                        {"trim", test_trim},
                                        {"next part", test_next},
                                        {"numbers", test_u64},
                                        {"what is no number", test_u64_refuses},
                                        {"error texts", test_strerror}};

int main(void) {
    return car_suite_main("span", TESTS, sizeof TESTS / sizeof *TESTS);
}
