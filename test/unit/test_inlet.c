#include "feed/inlet.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/tenant.h"

#include "feed/tenant_state.h"
#include "suite.h"

#define HOLDS 1023

static struct car_tenant *tenant;
static struct car_publish items[HOLDS + 1];

static void set_up(void) {
    tenant = car_tenant_new(CAR_SPAN("a"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(tenant);
    for (size_t i = 0; i < HOLDS + 1; i++) {
        items[i].count = 1;
    }
}

static void tear_down(void) {
    car_tenant_free(&tenant);
}

static void test_nothing_costs_nothing(void) {
    struct car_publish *out[4];
    set_up();
    CU_ASSERT_FALSE(car_inlet_is_used(tenant));
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, 4), 0);
    CU_ASSERT_PTR_NULL(atomic_load(&tenant->inlet));
    tear_down();
}

static void test_order(void) {
    struct car_publish *out[4];
    set_up();
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(car_inlet_put(tenant, &items[i]), 0);
    }
    CU_ASSERT_TRUE(car_inlet_is_used(tenant));
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, 0), 0);
    CU_ASSERT_TRUE(car_inlet_is_used(tenant)); /* who took nothing has not seen that it is empty */
    CU_ASSERT_EQUAL_FATAL(car_inlet_take(tenant, out, 4), 3);
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_PTR_EQUAL(out[i], &items[i]);
    }
    CU_ASSERT_FALSE(car_inlet_is_used(tenant));
    tear_down();
}

/* What is taken at a time is counted in events: a batch counts as many as it has, and the last may be too many. */
static void test_batches(void) {
    struct car_publish *out[10];
    set_up();
    items[1].count = 5;
    items[3].count = CAR_PUBLISH_MAX;
    for (size_t i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(car_inlet_put(tenant, &items[i]), 0);
    }
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, 6), 2);
    CU_ASSERT_PTR_EQUAL(out[1], &items[1]);
    CU_ASSERT_TRUE(car_inlet_is_used(tenant));
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, 10), 2);
    CU_ASSERT_PTR_EQUAL(out[1], &items[3]);
    CU_ASSERT_TRUE(car_inlet_is_used(tenant));
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, 10), 2);
    CU_ASSERT_PTR_EQUAL(out[1], &items[5]);
    CU_ASSERT_FALSE(car_inlet_is_used(tenant));
    tear_down();
}

/* Taken in part, it still says that something is inside. */
static void test_rest(void) {
    struct car_publish *out[4];
    set_up();
    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(car_inlet_put(tenant, &items[i]), 0);
    }
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, 4), 4);
    CU_ASSERT_TRUE(car_inlet_is_used(tenant));
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, 4), 1);
    CU_ASSERT_PTR_EQUAL(out[0], &items[4]);
    CU_ASSERT_FALSE(car_inlet_is_used(tenant));
    tear_down();
}

static void test_full(void) {
    static struct car_publish *out[HOLDS + 1];
    set_up();
    for (size_t i = 0; i < HOLDS; i++) {
        CU_ASSERT_EQUAL(car_inlet_put(tenant, &items[i]), 0);
    }
    CU_ASSERT_EQUAL(car_inlet_put(tenant, &items[HOLDS]), CAR_EFULL);
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, HOLDS + 1), HOLDS);
    CU_ASSERT_EQUAL(car_inlet_put(tenant, &items[HOLDS]), 0);
    CU_ASSERT_EQUAL(car_inlet_take(tenant, out, HOLDS + 1), 1);
    tear_down();
}

static const struct car_test TESTS[] = {
    {"nothing costs nothing", test_nothing_costs_nothing},
    {"order", test_order},
    {"batches", test_batches},
    {"a rest", test_rest},
    {"full", test_full},
};

int main(void) {
    return car_suite_main("inlet", TESTS, sizeof TESTS / sizeof *TESTS);
}
