#include <libpq-fe.h>
#include <unistd.h>

#include "carillon/feed/tenant.h"
#include "carillon/store/postgres.h"
#include "support/feed_fixture.h"
#include "support/postgres.h"

#include "suite.h"

/* What is too much or too old is forgotten, tenant by tenant, and the tables still agree. */

enum { WORKERS = 2, KEEP = 10 };

#define HOUR_MS (60 * 60 * 1000)

static struct feed_fixture f;
static char uri[200];

static void open_store(bool relaxed, uint64_t retain_ms, uint64_t retain_count) {
    const struct car_postgres_config config = {
        .uri = uri, .relaxed = relaxed, .retain_ms = retain_ms, .retain_count = retain_count};
    feed_open_postgres_with(&f, WORKERS, KEEP, &config);
    feed_start(&f);
}

static void publish(struct car_tenant *tenant, unsigned count) {
    for (unsigned part; count; count -= part) {
        part = count < 500 ? count : 500;
        feed_publish_and_wait(&f, tenant, part);
    }
}

/* Waits until a statement says that number. */
static void wait_for(const char *sql, int64_t number) {
    for (unsigned i = 0; i < 3000 && postgres_number(uri, sql) != number; i++) {
        usleep(10000);
    }
    CU_ASSERT_EQUAL(postgres_number(uri, sql), number);
}

/* Rows of the tenant a are those of its newest `count` events, types are counted, and no key outlives its events. */
static void check(struct car_tenant *a, uint64_t forgotten, uint64_t newest) {
    /* First: a hundred rows are there before the last hundred are, as well. */
    wait_for("SELECT forgotten FROM carillon.tenants WHERE id = 'a'", (int64_t)forgotten);
    wait_for("SELECT count(*) FROM carillon.events e JOIN carillon.tenants t ON e.tenant = t.n WHERE t.id = 'a'",
             (int64_t)(newest - forgotten));
    CU_ASSERT_EQUAL(car_tenant_forgotten(a), forgotten);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.events e JOIN carillon.tenants t"
                                         " ON e.tenant = t.n WHERE e.seq <= t.forgotten OR e.seq > t.newest"),
                    0);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM (SELECT tenant, type, count FROM carillon.types"
                                         " WHERE count <> 0 EXCEPT SELECT tenant, type, count(*) FROM carillon.events"
                                         " GROUP BY tenant, type) AS wrong"),
                    0);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.idempotency i JOIN carillon.tenants t"
                                         " ON i.tenant = t.n WHERE i.first <= t.forgotten"),
                    0);
}

/* A key for every tenth event. */
static void put_keys(void) {
    postgres_run(uri, "INSERT INTO carillon.idempotency SELECT tenant, decode(md5(seq::text), 'hex'), '', seq, 1,"
                      " wall_ms FROM carillon.events WHERE seq % 10 = 0 ON CONFLICT DO NOTHING");
}

static void test_by_count(void) {
    for (unsigned relaxed = 0; relaxed < 2; relaxed++) {
        postgres_new(uri, sizeof uri);
        open_store(relaxed, 0, 0);
        struct car_tenant *a = feed_tenant(&f, "a");
        publish(a, 2000);
        publish(feed_tenant(&f, "b"), 20);
        feed_close(&f);
        put_keys();
        open_store(relaxed, 0, 100);
        a = feed_tenant_find(&f, "a");
        check(a, 1900, 2000);
        CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.idempotency"), 12);
        CU_ASSERT_EQUAL(car_tenant_forgotten(feed_tenant_find(&f, "b")), 0);
        /* It goes on, also for tenants that are new, beside what is stored meanwhile. */
        struct car_tenant *c = feed_tenant(&f, "c");
        for (unsigned i = 0; i < 20; i++) {
            publish(a, 100);
            publish(c, 10);
            usleep(100000);
        }
        check(a, 3900, 4000);
        wait_for("SELECT forgotten FROM carillon.tenants WHERE id = 'c'", 100);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 4000);
        feed_close(&f);
        open_store(relaxed, 0, 0);
        CU_ASSERT_EQUAL(car_tenant_forgotten(feed_tenant_find(&f, "a")), 3900);
        feed_close(&f);
    }
}

static void test_by_age(void) {
    postgres_new(uri, sizeof uri);
    open_store(false, 0, 0);
    struct car_tenant *a = feed_tenant(&f, "a");
    publish(a, 6000);
    publish(feed_tenant(&f, "b"), 20);
    feed_close(&f);
    postgres_run(uri, "UPDATE carillon.events SET wall_ms = wall_ms - 7200000 WHERE seq <= 5000 OR seq = 5500");
    put_keys();
    open_store(false, HOUR_MS, 0);
    a = feed_tenant_find(&f, "a");
    check(a, 5000, 6000); /* more than are looked at in one go; behind one that is young none goes */
    postgres_run(uri, "UPDATE carillon.events SET wall_ms = wall_ms - 7200000 WHERE seq > 5000;"
                      "UPDATE carillon.idempotency SET at_ms = at_ms - 7200000 WHERE first > 5000");
    check(a, 6000, 6000); /* all of them, though nobody publishes */
    publish(a, 5);
    check(a, 6000, 6005);
    feed_close(&f);
    /* Both: whichever is the later border. */
    postgres_run(uri, "UPDATE carillon.events SET wall_ms = wall_ms - 7200000 WHERE seq = 6001");
    open_store(false, HOUR_MS, 3);
    check(feed_tenant_find(&f, "a"), 6002, 6005);
    feed_close(&f);
}

/* What a process has not finished the next one does. */
static void test_left_over(void) {
    postgres_new(uri, sizeof uri);
    open_store(false, 0, 0);
    publish(feed_tenant(&f, "a"), 1000);
    feed_close(&f);
    postgres_run(uri, "UPDATE carillon.tenants SET forgotten = 900");
    open_store(false, HOUR_MS, 0);
    check(feed_tenant_find(&f, "a"), 900, 1000);
    feed_close(&f);
}

/* The database has more than the process has published: that may be taken out again, and does not count. */
static void test_unheard(void) {
    postgres_new(uri, sizeof uri);
    open_store(false, 0, 50);
    struct car_tenant *a = feed_tenant(&f, "a");
    publish(a, 60);
    check(a, 10, 60);
    postgres_run(uri, "UPDATE carillon.tenants SET newest = newest + 100");
    usleep(2200000); /* two looks */
    CU_ASSERT_EQUAL(car_tenant_forgotten(a), 10);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT forgotten FROM carillon.tenants"), 10);
    publish(a, 40);
    check(a, 50, 100);
    feed_close(&f);
}

static void test_ended_connections(void) {
    postgres_new(uri, sizeof uri);
    open_store(false, 0, 50);
    struct car_tenant *a = feed_tenant(&f, "a");
    publish(a, 60);
    check(a, 10, 60);
    postgres_run(uri, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    for (unsigned i = 0; car_tenant_newest(a) < 100 && i < 3000;
         i++) { /* until it is connected again they are refused */
        uint64_t before = car_tenant_newest(a);
        publish(a, 1);
        usleep(car_tenant_newest(a) > before ? 0 : 10000);
    }
    check(a, 50, 100);
    feed_close(&f);
}

/* A row that somebody else holds, for longer than is waited for: publishers do not notice, and it goes in the end. */
static void test_held_row(void) {
    postgres_new(uri, sizeof uri);
    open_store(false, 0, 0);
    publish(feed_tenant(&f, "a"), 100);
    feed_close(&f);
    PGconn *holder = PQconnectdb(uri);
    PGresult *row = PQexec(holder, "BEGIN; SELECT FROM carillon.events WHERE seq = 40 FOR UPDATE");
    CU_ASSERT_EQUAL_FATAL(PQntuples(row), 1);
    open_store(false, 0, 50);
    struct car_tenant *a = feed_tenant_find(&f, "a");
    for (unsigned i = 0; car_tenant_forgotten(a) < 50 && i < 10000; i++) {
        usleep(1000);
    }
    usleep(500000);
    CU_ASSERT_EQUAL(car_tenant_forgotten(a), 50);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.events"), 100);
    publish(a, 10);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.events"), 110);
    PQclear(row);
    PQfinish(holder);
    check(a, 60, 110);
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"by count", test_by_count},
    {"by age", test_by_age},
    {"left over", test_left_over},
    {"unheard", test_unheard},
    {"ended connections", test_ended_connections},
    {"held row", test_held_row},
};

int main(void) {
    return car_suite_main("postgres_retention", TESTS, sizeof TESTS / sizeof *TESTS);
}
