#include "api/tops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/feed/registry.h"

#include "feed_fixture.h"
#include "suite.h"

/* Whom /metrics tells of by name, and that no counter jumps or goes back when that changes. */

static struct feed_fixture f;
static struct car_tops *tops;
static struct car_buf text;

static void open_tops(unsigned max) {
    feed_open(&f, 1, 500);
    tops = car_tops_new(max);
}

static void close_tops(void) {
    car_buf_free(&text);
    car_tops_free(&tops);
    feed_close(&f);
}

static void scrape(void) {
    text.len = 0;
    car_tops_write(tops, &f.feed, f.reader, &text);
    car_buf_char(&text, '\0');
    CU_ASSERT_FALSE_FATAL(text.failed);
}

static void publish(struct car_tenant *tenant, unsigned count) {
    CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, count), count);
    feed_settle(&f);
}

/* The events that a tenant is said to have published; -1 where nothing is said of it. */
static long told(const char *tenant) {
    char line[160];
    snprintf(line, sizeof line, "carillon_tenant_published_events_total{tenant=\"%s\"} ", tenant);
    const char *at = strstr(text.data, line);
    return at ? strtol(at + strlen(line), NULL, 10) : -1;
}

/* With room for all, each is told of with all that it did, and nothing is others'. */
static void test_room(void) {
    open_tops(3);
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    scrape();
    CU_ASSERT_EQUAL(told("a"), -1); /* it has done nothing */
    CU_ASSERT_EQUAL(told("_other"), 0);
    publish(a, 3);
    scrape();
    publish(b, 5);
    publish(a, 1);
    scrape();
    CU_ASSERT_EQUAL(told("a"), 4);
    CU_ASSERT_EQUAL(told("b"), 5);
    CU_ASSERT_EQUAL(told("_other"), 0);
    close_tops();
}

/* Who had been one of the others begins with 0, and the others keep what was told as theirs. */
static void test_late_comer(void) {
    open_tops(1);
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    publish(a, 10);
    publish(b, 6);
    scrape();
    CU_ASSERT_EQUAL(told("a"), 10);
    CU_ASSERT_EQUAL(told("b"), -1);
    CU_ASSERT_EQUAL(told("_other"), 6);
    publish(b, 12); /* 18: more, but not twice as much */
    scrape();
    CU_ASSERT_EQUAL(told("b"), -1);
    CU_ASSERT_EQUAL(told("_other"), 18);
    publish(b, 12);
    scrape();
    CU_ASSERT_EQUAL(told("a"), -1);
    CU_ASSERT_EQUAL(told("b"), 0);
    CU_ASSERT_EQUAL(told("_other"), 30);
    publish(b, 2);
    publish(a, 3);
    scrape();
    CU_ASSERT_EQUAL(told("b"), 2);
    CU_ASSERT_EQUAL(told("_other"), 33); /* what a did while it was told of is not among them */
    close_tops();
}

static void test_comes_back(void) {
    open_tops(1);
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    publish(a, 10);
    scrape();
    publish(b, 50);
    scrape();
    CU_ASSERT_EQUAL(told("b"), 0);
    publish(a, 200);
    scrape();
    CU_ASSERT_EQUAL(told("a"), 0);
    CU_ASSERT_EQUAL(told("_other"), 250);
    publish(a, 4);
    publish(b, 1);
    scrape();
    CU_ASSERT_EQUAL(told("a"), 4);
    CU_ASSERT_EQUAL(told("_other"), 251);
    close_tops();
}

/* A removed one makes room; the others do not jump by what it did while it was told of. */
static void test_removed(void) {
    open_tops(1);
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    publish(a, 10);
    publish(b, 8);
    scrape();
    CU_ASSERT_EQUAL(told("_other"), 8);
    car_registry_remove(f.feed.registry, f.reader, a);
    publish(b, 1);
    scrape();
    CU_ASSERT_EQUAL(told("a"), -1);
    CU_ASSERT_EQUAL(told("b"), 0);
    CU_ASSERT_EQUAL(told("_other"), 9);
    publish(b, 1);
    scrape();
    CU_ASSERT_EQUAL(told("b"), 1);
    CU_ASSERT_EQUAL(told("_other"), 9);
    close_tops();
}

/* All increases together are what was published, whoever comes and goes; and none is negative. */
static void test_sums(void) {
    enum { TENANTS = 12, ROUNDS = 300 };
    struct car_tenant *tenants[TENANTS];
    char names[TENANTS][8];
    long before[TENANTS + 1] = {0};
    long published = 0;
    long increase = 0;
    unsigned random = 1;
    open_tops(4);
    for (unsigned i = 0; i < TENANTS; i++) {
        snprintf(names[i], sizeof names[i], "t%u", i);
        tenants[i] = feed_tenant(&f, names[i]);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        random = random * 1103515245u + 12345u;
        unsigned who = (random >> 16) % TENANTS;
        unsigned count = 1 + (random >> 8) % (1u + 3u * round / 20u);
        publish(tenants[who], count);
        published += count;
        scrape();
        for (unsigned i = 0; i <= TENANTS; i++) {
            long now = told(i < TENANTS ? names[i] : "_other");
            if (now >= 0) {
                CU_ASSERT(i < TENANTS || now >= before[i]);
                increase +=
                    now >= before[i] ? now - before[i] : now; /* a series that begins anew, as Prometheus has it */
                before[i] = now;
            }
        }
        CU_ASSERT_EQUAL_FATAL(increase, published);
    }
    close_tops();
}

static const struct car_test TESTS[] = {
    {"room for all", test_room},       {"a late comer", test_late_comer}, {"comes back", test_comes_back},
    {"removed tenants", test_removed}, {"increases add up", test_sums},
};

int main(void) {
    return car_suite_main("tops", TESTS, sizeof TESTS / sizeof *TESTS);
}
