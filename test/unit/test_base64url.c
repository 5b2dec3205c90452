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

static const struct car_test TESTS[] = {{"write and read", test_write_and_read}, {"refused", test_refused}};

int main(void) {
    return car_suite_main("base64url", TESTS, sizeof TESTS / sizeof *TESTS);
}
