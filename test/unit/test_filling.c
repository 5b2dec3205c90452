#include "carillon/feed/filling.h"

#include "suite.h"

static unsigned asked;

static void ask(void *user) {
    CU_ASSERT_PTR_EQUAL(user, &asked);
    asked++;
}

/* Whoever takes the last of the room asks, and nobody after that, until there is room again. */
static void test_asks_once(void) {
    struct car_filling filling = {.ask = ask, .user = &asked};
    asked = 0;
    for (unsigned round = 1; round <= 3; round++) {
        car_filling_set(&filling, 100);
        car_filling_add(&filling, 99);
        CU_ASSERT_EQUAL(asked, round - 1);
        car_filling_add(&filling, 1);
        CU_ASSERT_EQUAL(asked, round);
        car_filling_add(&filling, 1000);
        CU_ASSERT_EQUAL(asked, round);
    }
}

static void test_edges(void) {
    struct car_filling filling = {.ask = ask, .user = &asked};
    asked = 0;
    car_filling_set(&filling, UINT64_MAX);
    car_filling_add(&filling, UINT64_C(1) << 40);
    CU_ASSERT_EQUAL(asked, 0);
    car_filling_set(&filling, 0); /* no room at all: it is being looked at */
    car_filling_add(&filling, 1);
    CU_ASSERT_EQUAL(asked, 0);
    car_filling_set(&filling, 1);
    car_filling_add(&filling, UINT64_C(1) << 40); /* much at once */
    CU_ASSERT_EQUAL(asked, 1);
}

static void test_nobody_looks(void) {
    struct car_filling filling = {0};
    car_filling_set(&filling, 1);
    car_filling_add(&filling, 2);
}

static const struct car_test TESTS[] = {
    {"asks once", test_asks_once},
    {"edges", test_edges},
    {"nobody looks", test_nobody_looks},
};

int main(void) {
    return car_suite_main("filling", TESTS, sizeof TESTS / sizeof *TESTS);
}
