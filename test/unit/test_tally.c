#include "api/tally.h"

#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"

#include "feed_fixture.h"
#include "suite.h"

/* A tenant's events are counted some at a time, while others are published and forgotten. */

#define KEEP 1000

static struct feed_fixture f;
static struct car_tenant *tenant;
static struct car_tally tally;

static void begin(unsigned events) {
    feed_open(&f, 1, KEEP);
    tenant = feed_tenant(&f, "a");
    CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, events), events);
    tally = (struct car_tally){0};
    car_tally_begin(&tally, &f.feed, tenant);
}

static bool some(unsigned max) {
    return car_tally_some(&tally, &f.feed, tenant, f.reader, max);
}

/* Whether the sums are those of the events from `first` to `last`. */
static void end(uint64_t first, uint64_t last) {
    json_int_t sum = 0;
    const char *type;
    json_t *count;
    json_object_foreach(tally.by_type, type, count) {
        sum += json_integer_value(count);
    }
    CU_ASSERT_EQUAL(tally.last, last);
    CU_ASSERT_EQUAL(tally.total, last + 1 - first);
    CU_ASSERT_EQUAL(sum, (json_int_t)tally.total);
    CU_ASSERT_EQUAL(tally.first, tally.total ? first : 0);
    json_decref(tally.by_type);
    feed_close(&f);
}

static void test_in_pieces(void) {
    begin(900);
    unsigned pieces = 1;
    while (!some(128)) {
        CU_ASSERT(tally.total <= (uint64_t)pieces * 128);
        pieces++;
    }
    CU_ASSERT_EQUAL(pieces, 8);
    end(1, 900);
}

static void test_none(void) {
    begin(0);
    CU_ASSERT(some(1));
    end(1, 0);
}

static void test_types(void) {
    static const char *const TYPES[] = {"one", "two", "two", "one", "twofold", "one"};
    begin(1);
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        feed_publish_event(&f, 0, feed_event(tenant, TYPES[i], "\"x\""));
    }
    car_tally_begin(&tally, &f.feed, tenant);
    CU_ASSERT(some(100));
    CU_ASSERT_EQUAL(json_object_size(tally.by_type), 4);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(tally.by_type, "one")), 3);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(tally.by_type, "two")), 2);
    end(1, 7);
}

/* What comes meanwhile is not counted. */
static void test_published_meanwhile(void) {
    begin(500);
    CU_ASSERT_FALSE(some(64));
    CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, 100), 100);
    CU_ASSERT(some(1000));
    end(1, 500);
}

/* What was counted has been forgotten, and so has what is next: it is counted anew. */
static void test_forgotten_meanwhile(void) {
    begin(KEEP);
    CU_ASSERT_FALSE(some(64));
    CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, 500), 500);
    CU_ASSERT(some(5000));
    end(501, 1500);
}

/* It comes to an end, however much is published. */
static void test_ever_more(void) {
    begin(KEEP);
    unsigned pieces = 0;
    while (!some(64) && pieces < 100) {
        CU_ASSERT_EQUAL(feed_publish(&f, 0, tenant, 500), 500);
        pieces++;
    }
    CU_ASSERT(pieces < 100);
    uint64_t newest = car_tenant_newest(tenant);
    end(newest - KEEP + 1, newest);
}

static const struct car_test TESTS[] = {
    {"in pieces", test_in_pieces},
    {"none", test_none},
    {"types", test_types},
    {"published meanwhile", test_published_meanwhile},
    {"forgotten meanwhile", test_forgotten_meanwhile},
    {"ever more", test_ever_more},
};

int main(void) {
    return car_suite_main("tally", TESTS, sizeof TESTS / sizeof *TESTS);
}
