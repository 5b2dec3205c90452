#include <stdlib.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/postgres.h"
#include "support/accounts.h"
#include "support/feed_fixture.h"
#include "support/log_ask.h"
#include "support/postgres.h"
#include "support/relay.h"

#include "suite.h"

/* A change whose end is not heard of, for the connection is lost in its midst: whoever wanted it was told that nothing
 * has changed, and so it is, here and there. What every log keeps to is test_accounts.c's. */

enum { WORKERS = 2, KEEP = 50 };

static struct feed_fixture f;
static char uri[200], through[200];

static void open_store(bool relaxed) {
    account_listen();
    feed_open_postgres(&f, WORKERS, KEEP, through, relaxed);
    feed_start(&f);
}

static void open_new(bool relaxed) {
    postgres_new(uri, sizeof uri);
    relay_open(uri, through, sizeof through);
    open_store(relaxed);
}

static void close_store(void) {
    feed_close(&f);
    relay_close();
}

static int64_t stored(const char *sql) {
    return postgres_number(uri, sql);
}

static void publish(struct car_tenant *tenant, unsigned count) {
    feed_publish_and_wait(&f, tenant, count);
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 0);
}

/* From here on nothing is heard of the server. */
static void lose(void) {
    CU_ASSERT_FALSE(atomic_load(&f.feed.log->failing));
    relay_lose(true);
}

/* There is a connection again, and what was not heard of is taken out. */
static void find(void) {
    CU_ASSERT(relay_lost() > 0);
    relay_lose(false);
    for (unsigned i = 0; atomic_load(&f.feed.log->failing) && i < 20000; i++) {
        usleep(1000);
    }
    CU_ASSERT_FALSE(atomic_load(&f.feed.log->failing));
}

#define KEYS "SELECT count(*) FROM carillon.keys"

/* What is checked after each loss: the tenant as it was before. */
static void is_as_before(struct car_tenant *a) {
    account_has_terms(&f, feed_tenant_find(&f, "a"), "before", 7);
    CU_ASSERT_PTR_EQUAL(feed_tenant_find(&f, "a"), a);
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.tenants WHERE id = 'a' AND NOT removed AND name = 'before'"
                           " AND connections = 7 AND retention_count = 9223372036854775807 AND events = 0"),
                    1);
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.tenants"), 2);
    CU_ASSERT_EQUAL(stored(KEYS), 3);
    CU_ASSERT_EQUAL(stored(KEYS " WHERE kid LIKE 'k%' AND digest = decode(repeat('eb', 32), 'hex')"), 1);
}

static void lose_changes(struct car_tenant *a) {
    struct car_tenant_terms terms = {.name = "fresh"};
    struct car_account_key key = account_key('f');
    lose();
    CU_ASSERT_EQUAL(account_put(&f, a, "after", 8), CAR_ESYS);
    CU_ASSERT_EQUAL(stored("SELECT connections FROM carillon.tenants WHERE name = 'after'"), 8);
    find();
    is_as_before(a);

    lose();
    CU_ASSERT_EQUAL(account_put_key(&f, a, 'x'), CAR_ESYS);
    CU_ASSERT_EQUAL(stored(KEYS), 4);
    find();
    is_as_before(a);

    lose();
    CU_ASSERT_EQUAL(account_remove_key(&f, a, 'k'), CAR_ESYS);
    CU_ASSERT_EQUAL(stored(KEYS), 2);
    find();
    is_as_before(a);

    lose();
    struct car_tenant *fresh = feed_tenant(&f, "fresh");
    CU_ASSERT_EQUAL(
        account_make(&f,
                     (struct car_log_change){
                         .kind = CAR_LOG_TENANT_PUT, .tenant = fresh, .terms = &terms, .key = &key, .fresh = true}),
        CAR_ESYS);
    CU_ASSERT_PTR_NULL(feed_tenant_find(&f, "fresh"));
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.tenants WHERE name = 'fresh'"), 1);
    find();
    is_as_before(a);
}

static void lose_removal(struct car_tenant *a) {
    lose();
    CU_ASSERT_EQUAL(account_remove(&f, a), CAR_ESYS);
    CU_ASSERT_FALSE(car_tenant_is_removed(a));
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.tenants WHERE removed"), 1);
    CU_ASSERT_EQUAL(stored(KEYS), 1);
    find();
    is_as_before(a);
    usleep(1500000); /* nor does the upkeep believe that it is removed */
    CU_ASSERT_EQUAL(log_ask_found(&f, a), 30);
    publish(a, 1);
    CU_ASSERT_EQUAL(car_tenant_newest(a), 31);
}

static void test_unheard(void) {
    for (unsigned relaxed = 0; relaxed < 2; relaxed++) {
        open_new(relaxed);
        struct car_tenant *a = feed_tenant(&f, "a");
        publish(a, 30); /* relaxed: what is owed is committed with the next change */
        CU_ASSERT_EQUAL(account_put(&f, a, "before", 7), 0);
        CU_ASSERT_EQUAL(account_put_key(&f, a, 'a') || account_put_key(&f, a, 'k'), 0);
        CU_ASSERT_EQUAL(account_put_key(&f, feed_tenant(&f, "b"), 'b'), 0);
        lose_changes(a);
        lose_removal(a);
        close_store();

        relay_open(uri, through, sizeof through);
        open_store(relaxed);
        a = feed_tenant_find(&f, "a");
        account_has_terms(&f, a, "before", 7);
        CU_ASSERT_EQUAL(account_told_count(), 3);
        CU_ASSERT(account_told("a", 'a') && account_told("a", 'k') && account_told("b", 'b'));
        CU_ASSERT_EQUAL(log_ask_found(&f, a), 31);
        close_store();
    }
}

/* Events that a change was committed with stay where they were answered, and the change does not. */
static void test_with_events(void) {
    open_new(true);
    struct car_tenant *a = feed_tenant(&f, "a");
    CU_ASSERT_EQUAL(account_put(&f, a, "before", 7), 0);
    for (unsigned i = 1; i <= 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", i);
        struct car_tenant *other = feed_tenant(&f, name);
        lose();
        publish(a, 10);
        publish(other, 10);
        CU_ASSERT_EQUAL(account_put(&f, other, "after", 8), CAR_ESYS);
        CU_ASSERT_EQUAL(account_put(&f, a, "after", 8), CAR_ESYS);
        find();
        account_has_terms(&f, a, "before", 7);
        account_has_terms(&f, other, "", 0);
        CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.tenants WHERE name = 'after'"), 0);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 10 * i);
        publish(other, 1);
        CU_ASSERT_EQUAL(account_put(&f, other, "later", 9), 0);
        CU_ASSERT_EQUAL(log_ask_found(&f, a), 10 * i);
        CU_ASSERT_EQUAL(log_ask_found(&f, other), 11);
    }
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM (SELECT tenant, type, count FROM carillon.types EXCEPT"
                           " SELECT tenant, type, count(*) FROM carillon.events GROUP BY tenant, type) AS wrong"),
                    0);
    close_store();
}

/* A tenant with terms, whose first events were committed unheard: these go, and the terms do not. */
static void test_first_events(void) {
    open_new(false);
    struct car_tenant *a = feed_tenant(&f, "a");
    CU_ASSERT_EQUAL(account_put(&f, a, "before", 7), 0);
    lose();
    feed_publish_from(&f, 0, a, 3, 5);
    feed_wait_answers(&f, 3);
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 3);
    CU_ASSERT_EQUAL(stored("SELECT newest FROM carillon.tenants"), 3);
    find();
    CU_ASSERT_EQUAL(stored("SELECT newest FROM carillon.tenants WHERE name = 'before'"), 0);
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.events"), 0);
    feed_publish_from(&f, 0, a, 2, 5);
    feed_wait_answers(&f, 5);
    CU_ASSERT_EQUAL(car_tenant_newest(a), 2);
    close_store();
}

/* A tenant that is removed in the database, and for the log is not, or not yet: nothing of it is deleted. */
static void test_not_heard_yet(void) {
    open_new(false);
    struct car_tenant *a = feed_tenant(&f, "a");
    publish(a, 30);
    publish(feed_tenant(&f, "b"), 30);
    postgres_run(uri, "UPDATE carillon.tenants SET removed = true WHERE id = 'a'");
    usleep(2500000); /* two looks */
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.events"), 60);
    CU_ASSERT_EQUAL(account_remove(&f, a), 0);
    for (unsigned i = 0; stored("SELECT count(*) FROM carillon.tenants") > 1 && i < 500; i++) {
        usleep(10000);
    }
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.tenants"), 1);
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.events"), 30);
    close_store();
}

/* A server that goes, and comes back: a change is made or refused, and either is true. */
static void test_ended_connections(void) {
    open_new(false);
    struct car_tenant *a = feed_tenant(&f, "a");
    uint64_t is = 0;
    for (uint64_t i = 1; i <= 20; i++) {
        postgres_run(uri, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE datname = current_database() AND pid <> pg_backend_pid()");
        is = account_put(&f, a, "a", i) == 0 ? i : is;
        usleep(20000);
    }
    while (account_put_key(&f, a, 'a') != 0) {
        usleep(10000);
    }
    CU_ASSERT(is > 0);
    account_has_terms(&f, a, is ? "a" : "", is);
    CU_ASSERT_EQUAL(stored("SELECT connections FROM carillon.tenants"), (int64_t)is);
    close_store();
}

/* No copy of what was replaced is left for longer than until the next transaction. */
static void test_copies(void) {
    open_new(false);
    struct car_tenant *a = feed_tenant(&f, "a");
    CU_ASSERT_EQUAL(account_put(&f, a, "secret name", 7) || account_put_key(&f, a, 'a'), 0);
    CU_ASSERT_EQUAL(account_remove_key(&f, a, 'a'), 0);
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.keys_before"), 1);
    publish(a, 1);
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.keys_before"), 0);
    CU_ASSERT_EQUAL(stored("SELECT count(*) FROM carillon.tenants_before"), 0);
    CU_ASSERT_EQUAL(account_put_key(&f, a, 'b') || account_remove(&f, a), 0);
    for (unsigned i = 0; stored("SELECT count(*) FROM carillon.tenants") && i < 500; i++) {
        usleep(10000);
    }
    CU_ASSERT_EQUAL(stored("SELECT (SELECT count(*) FROM carillon.tenants) + (SELECT count(*) FROM carillon.keys)"
                           " + (SELECT count(*) FROM carillon.tenants_before)"
                           " + (SELECT count(*) FROM carillon.keys_before) + (SELECT count(*) FROM carillon.events)"
                           " + (SELECT count(*) FROM carillon.types)"),
                    0);
    close_store();
}

/* What is not as it was stored is not taken. */
static void refused(const char *damage) {
    char why[400] = "";
    struct car_log *log = NULL;
    open_new(false);
    CU_ASSERT_EQUAL(account_put(&f, feed_tenant(&f, "a"), "a", 7), 0);
    CU_ASSERT_EQUAL(account_put_key(&f, feed_tenant_find(&f, "a"), 'a'), 0);
    close_store();
    postgres_run(uri, damage);
    feed_open(&f, 0, KEEP);
    const struct car_postgres_config config = {.uri = uri};
    CU_ASSERT_EQUAL(car_log_postgres(&f.feed, f.reclaim, f.reader, &config, &log, why, sizeof why), CAR_EINVAL);
    CU_ASSERT_PTR_NULL(log);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "is damaged"));
    feed_close(&f);
}

static void test_damaged(void) {
    refused("UPDATE carillon.tenants SET connections = -1");
    refused("UPDATE carillon.tenants SET name = E'a\\nb'");
    refused("UPDATE carillon.tenants SET name = repeat('x', 129)");
    refused("UPDATE carillon.keys SET digest = '\\x00'");
    refused("UPDATE carillon.keys SET kid = kid || 'x'");
    refused("UPDATE carillon.keys SET scopes = 4294967296");
}

static const struct car_test TESTS[] = {
    {"unheard", test_unheard},
    {"unheard, with events", test_with_events},
    {"first events", test_first_events},
    {"ended connections", test_ended_connections},
    {"not heard yet", test_not_heard_yet},
    {"copies", test_copies},
    {"damaged", test_damaged},
};

int main(void) {
    return car_suite_main("postgres_accounts", TESTS, sizeof TESTS / sizeof *TESTS);
}
