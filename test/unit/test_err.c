#include "carillon/base/err.h"

#include <errno.h>
#include <string.h>

#include "suite.h"

static const int CODES[] = {CAR_OK,     CAR_ENOMEM, CAR_EINVAL, CAR_EPROTO,  CAR_ETOOBIG, CAR_EFULL,
                            CAR_ENOENT, CAR_EEXIST, CAR_ESYS,   CAR_ECLOSED, CAR_ENOFILE};
#define COUNT (sizeof CODES / sizeof *CODES)

static void test_texts(void) {
    for (size_t i = 0; i < COUNT; i++) {
        CU_ASSERT_TRUE(strlen(car_strerror(CODES[i])) > 0);
        CU_ASSERT_STRING_NOT_EQUAL(car_strerror(CODES[i]), car_strerror(1));
        for (size_t k = 0; k < i; k++) {
            CU_ASSERT_STRING_NOT_EQUAL(car_strerror(CODES[i]), car_strerror(CODES[k]));
        }
    }
}

static void test_other_numbers(void) {
    CU_ASSERT_STRING_EQUAL(car_strerror(-EPIPE), car_strerror(1));
    CU_ASSERT_STRING_EQUAL(car_strerror(CAR_ENOFILE - 1), car_strerror(1));
    CU_ASSERT_TRUE(strlen(car_strerror(1)) > 0);
}

/* libuv's codes and errno's lie above -5000: a function may hand them on beside these. */
static void test_apart_from_the_systems(void) {
    for (size_t i = 1; i < COUNT; i++) {
        CU_ASSERT_TRUE(CODES[i] <= CAR_ENOMEM && CODES[i] < -5000);
    }
}

static const struct car_test TESTS[] = {
    {"texts", test_texts},
    {"other numbers", test_other_numbers},
    {"apart from the system's", test_apart_from_the_systems},
};

int main(void) {
    return car_suite_main("err", TESTS, sizeof TESTS / sizeof *TESTS);
}
