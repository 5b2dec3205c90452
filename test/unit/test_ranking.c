#include "api/ranking.h"

#include <stdio.h>

#include "carillon/api/api.h"
#include "carillon/base/buf.h"
#include "carillon/feed/account.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "feed_fixture.h"
#include "suite.h"

static struct feed_fixture f;
static struct car_api api;
static struct car_ranking ranking;

static void open_feed(void) {
    feed_open(&f, 1, 500);
    api = (struct car_api){.feed = &f.feed};
}

static void close_feed(void) {
    car_ranking_free(&ranking);
    feed_close(&f);
}

static void make(void) {
    car_ranking_free(&ranking);
    CU_ASSERT_EQUAL_FATAL(car_ranking_make(&ranking, &api, f.workers[0]), 0);
}

/* The ids, in their order. */
static const char *order(void) {
    static char text[256];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < ranking.count; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", car_tenant_id(ranking.standings[i].tenant).ptr);
    }
    return text;
}

static void test_sorts(void) {
    open_feed();
    struct car_tenant *c = feed_tenant(&f, "c");
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    CU_ASSERT_EQUAL(feed_publish(&f, 0, b, 9), 9);
    CU_ASSERT_EQUAL(feed_publish(&f, 0, a, 4), 4);
    feed_settle(&f);
    car_tenant_count_refused(c);
    CU_ASSERT_TRUE(car_tenant_admit(a, 0));
    make();
    CU_ASSERT_EQUAL(ranking.count, 3);
    CU_ASSERT_EQUAL(ranking.connections, 1);
    static const struct {
        const char *by;
        bool up;
        const char *order;
    } CASES[] = {
        {"traffic", false, "bac"},     {"traffic", true, "cab"},     {"rate", false, "bac"},
        {"events", false, "bac"},      {"events", true, "cab"},      {"memory", false, "bac"},
        {"connections", false, "abc"}, {"connections", true, "bca"}, {"refused", false, "cab"},
        {"refused", true, "abc"},      {"id", false, "abc"},         {"id", true, "cba"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        enum car_ranking_by by;
        CU_ASSERT_TRUE_FATAL(car_ranking_by_name(car_span_cstr(CASES[i].by), &by));
        car_ranking_sort(&ranking, by, CASES[i].up);
        CU_ASSERT_STRING_EQUAL(order(), CASES[i].order);
    }
    enum car_ranking_by by;
    CU_ASSERT_FALSE(car_ranking_by_name(CAR_SPAN("name"), &by));
    car_tenant_leave(a);
    close_feed();
}

static void test_filter(void) {
    open_feed();
    (void)feed_tenant(&f, "Acme");
    (void)feed_tenant(&f, "b");
    struct car_tenant *c = feed_tenant(&f, "c");
    struct car_tenant_terms terms = {.name = "The ACME of Zo\u00eb"};
    CU_ASSERT_EQUAL(car_tenant_set_terms(c, f.reader, &terms), 0);
    static const char *const CASES[][2] = {{"acme", "Acmec"}, {"B", "b"}, {"zo\u00eb", "c"}, {"of z", "c"},
                                           {"nobody", ""},    {"%", ""},  {"", "Acmebc"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        make();
        car_ranking_filter(&ranking, f.workers[0], CASES[i][0]);
        car_ranking_sort(&ranking, CAR_BY_ID, false);
        CU_ASSERT_STRING_EQUAL(order(), CASES[i][1]);
    }
    close_feed();
}

static void test_rows(void) {
    open_feed();
    struct car_tenant *a = feed_tenant(&f, "a");
    (void)feed_tenant(&f, "b");
    CU_ASSERT_EQUAL(feed_publish(&f, 0, a, 3), 3);
    feed_settle(&f);
    make();
    car_ranking_sort(&ranking, CAR_BY_TRAFFIC, false);
    json_t *rows = car_ranking_json(&ranking, f.workers[0], 1);
    CU_ASSERT_EQUAL_FATAL(json_array_size(rows), 1);
    const json_t *row = json_array_get(rows, 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(row, "id")), "a");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(row, "name")), "a");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(row, "published")), 3);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(row, "events")), 3);
    CU_ASSERT(json_integer_value(json_object_get(row, "published_bytes")) > 100);
    CU_ASSERT(json_integer_value(json_object_get(row, "memory")) > 100);
    CU_ASSERT(json_real_value(json_object_get(row, "rate_1m")) > 0);
    json_decref(rows);
    close_feed();
}

static const struct car_test TESTS[] = {
    {"orders", test_sorts},
    {"the filter", test_filter},
    {"rows", test_rows},
};

int main(void) {
    return car_suite_main("ranking", TESTS, sizeof TESTS / sizeof *TESTS);
}
