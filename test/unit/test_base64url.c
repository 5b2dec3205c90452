#include "carillon/base/base64url.h"

#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "support/suite.h"

/* Against the standard alphabet of another implementation. */
static void test_write_and_read(void) {
    for (size_t len = 0; len <= 48; len += 3) {
        uint8_t bytes[48];
        uint8_t back[48] = {0};
        char standard[65];
        char text[64];
        car_random(bytes, sizeof bytes);
        if (len) {
            bytes[0] = 0xfb; /* makes + and / in the standard alphabet */
            bytes[1] = 0xff;
        }
        size_t chars = car_base64_write(bytes, len, standard);
        for (size_t i = 0; i < chars; i++) {
            standard[i] = standard[i] == '+' ? '-' : standard[i] == '/' ? '_' : standard[i];
        }
        car_base64url_write(bytes, len, text);
        CU_ASSERT_EQUAL(memcmp(text, standard, chars), 0);
        CU_ASSERT_EQUAL(car_base64url_read(car_span_of(text, chars), back, len), 0);
        CU_ASSERT_EQUAL(memcmp(bytes, back, len), 0);
    }
}

static void test_refused(void) {
    static const char *const BAD[] = {"",     "AAA",  "AAAAA", "AA+A",  "AA/A",
                                      "AA=A", "AAA=", "AA A",  "AA\nA", "AA\xc3\xa9"};
    uint8_t out[3];
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        CU_ASSERT_EQUAL(car_base64url_read(car_span_cstr(BAD[i]), out, 3), CAR_EINVAL);
    }
    CU_ASSERT_EQUAL(car_base64url_read(car_span_of("AA\0A", 4), out, 3), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_base64url_read(CAR_SPAN("AAAA"), out, 3), 0);
}

/* Any length, as long as it is the one spelling of its bytes. */
static void test_decode(void) {
    static const char *const BAD[] = {"A",  "AAAAA",  "AA=",   "AA==",   "AAA=", "AAAA=", "AA A",
                                      "A+", "AA/",    "AB",    "AP",     "AAB",  "AAD",   "A\n",
                                      "=",  "AAAAAB", "A\xc3", "AA\x80", "AAA.", "AAAA.A"};
    uint8_t out[64];
    size_t len = 7;
    for (size_t n = 0; n <= 48; n++) {
        uint8_t bytes[48];
        char digits[68];
        car_random(bytes, sizeof bytes);
        size_t chars = car_base64_write(bytes, n, digits);
        while (chars && digits[chars - 1] == '=') {
            chars--;
        }
        for (size_t i = 0; i < chars; i++) {
            digits[i] = (char)(digits[i] == '+' ? '-' : digits[i] == '/' ? '_' : digits[i]);
        }
        char written[68];
        memset(written, '!', sizeof written);
        car_base64url_write(bytes, n, written);
        CU_ASSERT(chars == (4 * n + 2) / 3 && memcmp(written, digits, chars) == 0 && written[chars] == '!');
        CU_ASSERT_EQUAL(car_base64url_decode(car_span_of(digits, chars), out, &len), 0);
        CU_ASSERT(len == n && memcmp(out, bytes, n) == 0);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        CU_ASSERT_EQUAL(car_base64url_decode(car_span_cstr(BAD[i]), out, &len), CAR_EINVAL);
        CU_ASSERT_EQUAL(len, 0);
    }
    CU_ASSERT_EQUAL(car_base64url_decode(car_span_of("A\0", 2), out, &len), CAR_EINVAL);
}

static const struct car_test TESTS[] = {
    {"write and read", test_write_and_read}, {"refused", test_refused}, {"decode", test_decode}};

int main(void) {
    return car_suite_main("base64url", TESTS, sizeof TESTS / sizeof *TESTS);
}
