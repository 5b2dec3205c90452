#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"
#include "support/accounts.h"
#include "support/feed_fixture.h"
#include "support/log_ask.h"
#include "support/stores.h"

#include "suite.h"

/* How long, and how many of a tenant, events are kept: what its own terms say goes before what the server has. */

enum { WORKERS = 2, KEEP = 50 };

static const char *const STORES[] = STORE_NAMES;
enum { STORE_COUNT = sizeof STORES / sizeof *STORES };

static struct feed_fixture f;

static void open_store(const char *store) {
    store_open(&f, store, WORKERS, KEEP, 0);
}

static void publish(struct car_tenant *tenant, unsigned count) {
    feed_publish_and_wait(&f, tenant, count);
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 0);
}

/* How many of a tenant's events are kept: what its own terms say goes first, and over a restart. */
static void test_retention(void) {
    for (size_t i = 0; i < STORE_COUNT; i++) {
        const struct car_tenant_limits some = {.retention_count = 20};
        const struct car_tenant_limits none = {0};
        store_new();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        struct car_tenant *b = feed_tenant(&f, "b");
        publish(a, 40);
        publish(b, 40);
        CU_ASSERT_EQUAL(account_limit(&f, a, &some), 0);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, a), 21);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, b), 1);
        publish(a, 5);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, a), 26);
        if (i > 0) {
            store_becomes(store_number, "SELECT count(*) FROM events", 60);
            feed_close(&f);
            open_store(STORES[i]);
            a = feed_tenant_find(&f, "a");
            publish(a, 5);
            store_becomes(store_number, "SELECT count(*) FROM events", 60);
            store_becomes(store_number, "SELECT forgotten FROM tenants WHERE id = 'a'", 30);
        }
        CU_ASSERT_EQUAL(account_limit(&f, a, &none), 0);
        uint64_t oldest = i ? 31 : 26;
        publish(a, 5);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, a), oldest); /* what is gone is gone, and no more goes */
        feed_close(&f);
    }
}

/* For how long: events grow old while nothing happens. */
static void test_age(void) {
    for (size_t i = 1; i < STORE_COUNT; i++) {
        const struct car_tenant_limits short_lived = {.retention_ms = 1};
        const struct car_tenant_limits long_lived = {.retention_ms = INT64_MAX};
        store_new();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        CU_ASSERT_EQUAL(account_limit(&f, feed_tenant(&f, "b"), &long_lived), 0);
        publish(feed_tenant_find(&f, "b"), 30);
        publish(a, 30);
        CU_ASSERT_EQUAL(account_limit(&f, a, &short_lived), 0);
        store_becomes(store_number, "SELECT count(*) FROM events", 30);
        store_becomes(store_number, "SELECT forgotten FROM tenants WHERE id = 'a'", 30);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, a), 31);
        publish(a, 3);
        store_becomes(store_number, "SELECT forgotten FROM tenants WHERE id = 'a'", 33);
        CU_ASSERT_EQUAL(log_ask_found(&f, feed_tenant_find(&f, "b")), 30);
        feed_close(&f);
    }
}

/* How many are kept in memory. */
static void test_buffer(void) {
    const struct car_tenant_limits few = {.buffer_events = 10};
    const struct car_tenant_limits many = {.buffer_events = 2 * KEEP};
    open_store("memory");
    struct car_tenant *a = feed_tenant(&f, "a");
    struct car_tenant *b = feed_tenant(&f, "b");
    CU_ASSERT_EQUAL(account_limit(&f, a, &few), 0);
    CU_ASSERT_EQUAL(account_limit(&f, b, &many), 0);
    publish(a, 3 * KEEP);
    publish(b, 3 * KEEP);
    CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, a), 3 * KEEP - 9);
    CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, b), KEEP + 1);
    feed_close(&f);
}

/* More than the server keeps, and less. */
static void test_beside_the_server(void) {
    for (size_t i = 0; i < STORE_COUNT; i++) {
        const struct car_tenant_limits more = {.retention_count = 30};
        const struct car_tenant_limits less = {.retention_count = 5};
        store_new();
        store_open(&f, STORES[i], WORKERS, KEEP, 10);
        struct car_tenant *a = feed_tenant(&f, "a");
        struct car_tenant *b = feed_tenant(&f, "b");
        struct car_tenant *c = feed_tenant(&f, "c");
        CU_ASSERT_EQUAL(account_limit(&f, a, &more), 0);
        CU_ASSERT_EQUAL(account_limit(&f, b, &less), 0);
        publish(a, 40);
        publish(b, 40);
        publish(c, 40);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, a), 11);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, b), 36);
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, c), 31);
        if (i > 0) {
            store_becomes(store_number, "SELECT count(*) FROM events", 45);
            store_becomes(store_number, "SELECT sum(forgotten) FROM tenants", 10 + 35 + 30);
        }
        feed_close(&f);
    }
}

static const struct car_test TESTS[] = {
    {"own retention", test_retention},
    {"by age", test_age},
    {"own buffer", test_buffer},
    {"beside the server's", test_beside_the_server},
};

int main(void) {
    store_folder();
    return car_suite_main("accounts_retention", TESTS, sizeof TESTS / sizeof *TESTS);
}
