#include "carillon/feed/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "suite.h"

static struct car_reclaim *domain;
static struct car_reader *reader;
static struct car_registry *registry;

static void open_registry(size_t max) {
    domain = car_reclaim_new();
    reader = car_reader_open(domain);
    registry = car_registry_new(max);
    CU_ASSERT_PTR_NOT_NULL_FATAL(registry);
}

static void close_registry(void) {
    car_registry_free(&registry);
    CU_ASSERT_PTR_NULL(registry);
    car_reader_close(&reader);
    car_reclaim_free(&domain);
}

static void add_and_find(void) {
    open_registry(10);
    struct car_tenant *a = NULL, *b = NULL, *again = NULL;
    CU_ASSERT_EQUAL(car_registry_count(registry), 0);
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, CAR_SPAN("tenant_a")));
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("tenant_a"), &a), 0);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("tenant_b"), &b), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_EQUAL(a, b);
    CU_ASSERT_TRUE(car_span_eq(car_tenant_id(a), CAR_SPAN("tenant_a")));
    CU_ASSERT_PTR_EQUAL(car_registry_find(registry, reader, CAR_SPAN("tenant_a")), a);
    CU_ASSERT_PTR_EQUAL(car_registry_find(registry, reader, CAR_SPAN("tenant_b")), b);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("tenant_a"), &again), CAR_EEXIST);
    CU_ASSERT_PTR_EQUAL(again, a);
    CU_ASSERT_EQUAL(car_registry_count(registry), 2);
    close_registry();
}

/* Ids that are close to one another stay apart: case, length, a shared beginning. */
static void ids_apart(void) {
    open_registry(10);
    struct car_tenant *tenant = NULL;
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("abcdefgh"), &tenant), 0);
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, CAR_SPAN("ABCDEFGH")));
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, CAR_SPAN("abcdefg")));
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, CAR_SPAN("abcdefghi")));
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, CAR_SPAN("abcdefgh\0")));
    /* an id is bytes with a length: it need not end where it is read from */
    struct car_span part = car_span_of("abcdefghijk", 8);
    CU_ASSERT_PTR_EQUAL(car_registry_find(registry, reader, part), tenant);
    close_registry();
}

static void bad_ids(void) {
    open_registry(10);
    char longest[CAR_TENANT_ID_MAX + 1];
    memset(longest, 'x', sizeof longest);
    struct car_tenant *tenant = NULL;
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, car_span_of(NULL, 0), &tenant), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, car_span_of(longest, sizeof longest), &tenant), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("a b"), &tenant), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("-a"), &tenant), CAR_EINVAL);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("a\0"), &tenant), CAR_EINVAL);
    CU_ASSERT_PTR_NULL(tenant);
    CU_ASSERT_EQUAL(car_registry_count(registry), 0);
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, car_span_of(NULL, 0)));
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, car_span_of(longest, sizeof longest)));
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, car_span_of(longest, CAR_TENANT_ID_MAX), &tenant), 0);
    CU_ASSERT_PTR_EQUAL(car_registry_find(registry, reader, car_span_of(longest, CAR_TENANT_ID_MAX)), tenant);
    close_registry();
}

static void limit(void) {
    open_registry(2);
    struct car_tenant *a = NULL, *b = NULL, *c = NULL;
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("a"), &a), 0);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("b"), &b), 0);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("c"), &c), CAR_EFULL);
    CU_ASSERT_PTR_NULL(c);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("b"), &c), CAR_EEXIST); /* even when full */
    CU_ASSERT_PTR_EQUAL(c, b);
    CU_ASSERT_EQUAL(car_registry_count(registry), 2);
    close_registry();
}

#define MANY 10000u

static struct car_span nth_id(char *text, size_t size, unsigned n) {
    return car_span_of(text, (size_t)snprintf(text, size, "t%u", n));
}

static void mark(struct car_tenant *tenant, void *user) {
    unsigned char *seen = user;
    struct car_span id = car_tenant_id(tenant);
    char text[CAR_TENANT_ID_MAX + 1] = {0};
    memcpy(text, id.ptr, id.len);
    unsigned long n = strtoul(text + 1, NULL, 10);
    CU_ASSERT_FATAL(n < MANY);
    seen[n]++;
}

/* From 64 slots up: the old tables are given back through the reader. */
static void growth(void) {
    static struct car_tenant *tenants[MANY];
    static unsigned char seen[MANY];
    char text[CAR_TENANT_ID_MAX];
    open_registry(MANY);
    unsigned wrong = 0;
    unsigned waited = 0;
    for (unsigned i = 0; i < MANY; i++) {
        wrong += car_registry_add(registry, reader, nth_id(text, sizeof text, i), &tenants[i]) != 0;
        waited += car_reader_poll(reader);
        unsigned other = i * 7919 % (i + 1);
        wrong += car_registry_find(registry, reader, nth_id(text, sizeof text, other)) != tenants[other];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(waited, 0); /* nobody else reads, so each poll frees at once */
    CU_ASSERT_EQUAL(car_registry_count(registry), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        wrong += car_registry_find(registry, reader, nth_id(text, sizeof text, i)) != tenants[i];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, nth_id(text, sizeof text, MANY)));
    memset(seen, 0, sizeof seen);
    car_registry_each(registry, mark, seen);
    for (unsigned i = 0; i < MANY; i++) {
        wrong += seen[i] != 1;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    close_registry();
}

/* A reader that is inside while the set grows holds the old table back. */
static void growth_under_reader(void) {
    char text[CAR_TENANT_ID_MAX];
    open_registry(MANY);
    struct car_reader *inside = car_reader_open(domain);
    car_reader_enter(inside);
    struct car_tenant *tenant;
    for (unsigned i = 0; i < 200; i++) {
        CU_ASSERT_EQUAL(car_registry_add(registry, reader, nth_id(text, sizeof text, i), &tenant), 0);
    }
    CU_ASSERT_TRUE(car_reader_poll(reader));
    car_reader_leave(inside);
    CU_ASSERT_FALSE(car_reader_poll(reader));
    car_reader_close(&inside);
    close_registry();
}

static void count_one(struct car_tenant *tenant, void *user) {
    (void)tenant;
    ++*(unsigned *)user;
}

/* Who is removed is not found, makes room for another one, and stays what it was for those who have it. */
static void remove_one(void) {
    struct car_tenant *a = NULL, *b = NULL, *anew = NULL;
    unsigned here = 0, gone = 0;
    open_registry(2);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("a"), &a), 0);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("b"), &b), 0);
    CU_ASSERT_FALSE(car_tenant_is_removed(a));
    car_registry_remove(registry, reader, a);
    car_registry_remove(registry, reader, a);
    CU_ASSERT_TRUE(car_tenant_is_removed(a));
    CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, CAR_SPAN("a")));
    CU_ASSERT_PTR_EQUAL(car_registry_find(registry, reader, CAR_SPAN("b")), b);
    CU_ASSERT_EQUAL(car_registry_count(registry), 1);
    CU_ASSERT_EQUAL(car_registry_add(registry, reader, CAR_SPAN("a"), &anew), 0);
    CU_ASSERT_PTR_NOT_EQUAL(anew, a);
    CU_ASSERT_FALSE(car_tenant_is_removed(anew));
    CU_ASSERT_TRUE(car_span_eq(car_tenant_id(a), car_tenant_id(anew)));
    car_registry_remove(registry, reader, a); /* the other one is not meant */
    CU_ASSERT_PTR_EQUAL(car_registry_find(registry, reader, CAR_SPAN("a")), anew);
    car_registry_each(registry, count_one, &here);
    car_registry_each_removed(registry, count_one, &gone);
    CU_ASSERT_EQUAL(here, 2);
    CU_ASSERT_EQUAL(gone, 1);
    close_registry();
}

/* However often an id comes and goes, the set does not grow. */
static void remove_often(void) {
    char text[CAR_TENANT_ID_MAX];
    struct car_tenant *tenant = NULL;
    open_registry(8);
    for (unsigned i = 0; i < 20000; i++) {
        CU_ASSERT_EQUAL_FATAL(car_registry_add(registry, reader, nth_id(text, sizeof text, i % 300), &tenant), 0);
        car_registry_remove(registry, reader, tenant);
        CU_ASSERT_PTR_NULL(car_registry_find(registry, reader, nth_id(text, sizeof text, i % 300)));
        car_reader_poll(reader);
    }
    CU_ASSERT_EQUAL(car_registry_count(registry), 0);
    close_registry();
}

static const struct car_test TESTS[] = {
    {"add, find, add again", add_and_find},
    {"ids that are nearly the same", ids_apart},
    {"ids that are none", bad_ids},
    {"the limit", limit},
    {"growth, and each", growth},
    {"growth while a reader is inside", growth_under_reader},
    {"remove", remove_one},
    {"remove often", remove_often},
};

int main(void) {
    return car_suite_main("registry", TESTS, sizeof TESTS / sizeof *TESTS);
}
