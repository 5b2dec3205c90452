#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/base/file.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "support/accounts.h"
#include "support/feed_fixture.h"
#include "support/log_ask.h"
#include "support/postgres.h"
#include "support/stores.h"

#include "suite.h"

/* Tenants and their keys in the log's store: what every log keeps to, and what one in a database keeps over a restart.
 */

enum { WORKERS = 2, KEEP = 50 };

static const char *const STORES[] = STORE_NAMES;
enum { STORE_COUNT = sizeof STORES / sizeof *STORES };

static struct feed_fixture f;
static unsigned long published;

static void open_store(const char *store) {
    published = 0;
    account_listen();
    store_open(&f, store, WORKERS, KEEP, 0);
}

/* Publishing. */

struct job {
    struct car_tenant *tenant;
    unsigned count;
    const char *word;
};

static void put_events(struct car_worker *worker, void *arg) {
    const struct job *job = arg;
    (void)worker;
    for (unsigned i = 0; i < job->count; i++) {
        char message[120];
        char type[16];
        snprintf(message, sizeof message, "\"%s some%u\"", job->word, i % 10);
        snprintf(type, sizeof type, "t%u", i % 4);
        feed_publish_event(&f, 0, feed_event(job->tenant, type, message));
    }
}

static void publish(struct car_tenant *tenant, unsigned count, const char *word) {
    for (unsigned part; count; count -= part) {
        part = count < 500 ? count : 500;
        struct job job = {tenant, part, word};
        feed_call(&f, 0, put_events, &job);
        published += part;
        feed_wait_answers(&f, published);
    }
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 0);
}

static void publish_refused(struct car_worker *worker, void *arg) {
    (void)worker;
    CU_ASSERT_EQUAL(feed_publish(&f, 0, arg, 1), 0);
}

/* How many of a tenant's events are found that have a word; all where it is NULL. */
static unsigned found(struct car_tenant *tenant, const char *word) {
    static uint64_t seqs[20000];
    struct car_filter filter = {0};
    if (!f.feed.log->ops->ask) {
        struct car_event *events[KEEP];
        size_t n = car_tenant_read(tenant, f.reader, 1, events, KEEP);
        for (size_t i = 0; i < n; i++) {
            car_event_unref(&events[i]);
        }
        return (unsigned)n;
    }
    if (word) {
        car_buf_put(&filter.words, word, strlen(word) + 1);
    }
    struct car_log_page last = {.ask.tenant = tenant, .max_events = 1, .max_bytes = 1};
    do { /* relaxed: what is published is committed a little later */
        last.first = last.last = car_tenant_newest(tenant);
        CU_ASSERT_EQUAL_FATAL(log_ask_page(&f, &last), 0);
        log_let_go(&last);
        usleep(last.seen ? 0 : 2000);
    } while (!last.seen);
    unsigned count = log_ask_passing(&f, tenant, 1, car_tenant_newest(tenant), false, word ? &filter : NULL, seqs,
                                     sizeof seqs / sizeof *seqs);
    car_filter_free(&filter);
    return count;
}

/* Nothing is left of removed tenants, and nothing of nobody's. */
static void is_erased(void) {
    static const char *const TABLES[] = {"events", "types", "idempotency", "keys"};
    store_becomes(store_number, "SELECT count(*) FROM tenants WHERE removed", 0);
    for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++) {
        char sql[120];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE tenant NOT IN (SELECT n FROM tenants)", TABLES[i]);
        CU_ASSERT_EQUAL(store_number(sql), 0);
    }
    if (!store_is_postgres()) {
        CU_ASSERT_EQUAL(store_number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    }
}

/* Terms and keys, and over a restart. */
static void test_put(void) {
    for (size_t i = 0; i < STORE_COUNT; i++) {
        struct car_tenant_terms terms = {.name = "first"};
        struct car_account_key first = account_key('f');
        store_new();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        account_has_terms(&f, a, "", 0);
        CU_ASSERT_EQUAL(
            account_make(&f,
                         (struct car_log_change){
                             .kind = CAR_LOG_TENANT_PUT, .tenant = a, .terms = &terms, .key = &first, .fresh = true}),
            0);
        account_has_terms(&f, a, "first", 0);
        publish(a, 3, "word");
        CU_ASSERT_EQUAL(account_put(&f, a,
                                    "Gr\xc3\xbc\xc3\x9f"
                                    "e, Ltd.",
                                    7),
                        0);
        CU_ASSERT_EQUAL(account_put_key(&f, a, 'g'), 0);
        CU_ASSERT_EQUAL(account_put_key(&f, a, 'h'), 0);
        CU_ASSERT_EQUAL(account_remove_key(&f, a, 'g'), 0);
        CU_ASSERT_EQUAL(account_remove_key(&f, a, 'z'), 0);
        struct car_tenant *quiet = feed_tenant(&f, "quiet");
        CU_ASSERT_EQUAL(account_put(&f, quiet, "", 9), 0);
        CU_ASSERT_EQUAL(account_put_key(&f, feed_tenant(&f, "keyed"), 'k'), 0);
        CU_ASSERT_EQUAL(account_remove_key(&f, quiet, 'k'), 0); /* another's is left alone */
        account_has_terms(&f, a,
                          "Gr\xc3\xbc\xc3\x9f"
                          "e, Ltd.",
                          7);
        int64_t created = car_tenant_created_ms(quiet);
        feed_close(&f);
        if (i == 0) {
            continue;
        }
        open_store(STORES[i]);
        a = feed_tenant_find(&f, "a");
        account_has_terms(&f, a,
                          "Gr\xc3\xbc\xc3\x9f"
                          "e, Ltd.",
                          7);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 3);
        account_has_terms(&f, feed_tenant_find(&f, "quiet"), "", 9);
        CU_ASSERT_EQUAL(car_tenant_created_ms(feed_tenant_find(&f, "quiet")), created);
        account_has_terms(&f, feed_tenant_find(&f, "keyed"), "", 0);
        CU_ASSERT_EQUAL(account_told_count(), 3);
        CU_ASSERT(account_told("a", 'f') && account_told("a", 'h') && account_told("keyed", 'k'));
        publish(a, 1, "word");
        publish(feed_tenant_find(&f, "quiet"), 1, "word");
        CU_ASSERT_EQUAL(car_tenant_newest(a), 4);
        feed_close(&f);
    }
}

/* A tenant goes, its id is another's at once, and nobody else notices. */
static void test_remove(void) {
    for (size_t i = 0; i < STORE_COUNT; i++) {
        unsigned all = i ? 3000 : KEEP;
        char id[CAR_UUID_TEXT + 1] = "";
        struct car_event *event = NULL;
        store_new();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        struct car_tenant *b = feed_tenant(&f, "b");
        CU_ASSERT_EQUAL(account_put(&f, a, "old", 1), 0);
        CU_ASSERT_EQUAL(account_put_key(&f, a, 'a') || account_put_key(&f, b, 'b'), 0);
        publish(a, all, "mine");
        publish(b, all, "yours");
        CU_ASSERT_EQUAL_FATAL(car_tenant_read(a, f.reader, car_tenant_newest(a), &event, 1), 1);
        memcpy(id, car_event_id(event).ptr, CAR_UUID_TEXT);
        car_event_unref(&event);
        CU_ASSERT_EQUAL(car_feed_seq_of(&f.feed, a, car_span_cstr(id)), all);
        size_t count = car_registry_count(f.feed.registry);

        CU_ASSERT_EQUAL(account_remove(&f, a), 0);
        CU_ASSERT(car_tenant_is_removed(a));
        CU_ASSERT_PTR_NULL(feed_tenant_find(&f, "a"));
        CU_ASSERT_EQUAL(car_registry_count(f.feed.registry), count - 1);
        feed_call(&f, 0, publish_refused, a);
        CU_ASSERT_EQUAL(account_remove(&f, a), CAR_ECLOSED);
        CU_ASSERT_EQUAL(account_put(&f, a, "again", 2), CAR_ECLOSED);
        for (unsigned wait = 0; car_feed_oldest(&f.feed, a) <= all && wait < 5000; wait++) {
            usleep(1000);
        }
        CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, a), all + 1); /* whoever has it still finds nothing */
        CU_ASSERT_EQUAL(car_tenant_read(a, f.reader, 1, &event, 1), 0);
        CU_ASSERT_EQUAL(found(a, NULL), 0);

        struct car_tenant *anew = feed_tenant(&f, "a");
        CU_ASSERT_PTR_NOT_EQUAL(anew, a);
        CU_ASSERT_EQUAL(account_put(&f, anew, "new", 3) || account_put_key(&f, anew, 'n'), 0);
        publish(anew, KEEP, "mine");
        CU_ASSERT_EQUAL(car_tenant_newest(anew), KEEP);
        CU_ASSERT_EQUAL(car_feed_seq_of(&f.feed, anew, car_span_cstr(id)), 0);
        CU_ASSERT_EQUAL(found(anew, "mine"), KEEP);
        CU_ASSERT_EQUAL(found(a, "mine"), 0);
        CU_ASSERT_EQUAL(found(b, "yours"), all);
        feed_close(&f);
        if (i == 0) {
            continue;
        }
        open_store(STORES[i]);
        account_has_terms(&f, feed_tenant_find(&f, "a"), "new", 3);
        CU_ASSERT_EQUAL(account_told_count(), 2);
        CU_ASSERT(account_told("a", 'n') && account_told("b", 'b'));
        is_erased();
        if (!store_is_postgres()) {
            store_becomes(store_search_number, "SELECT count(*) FROM places", 2);
        }
        CU_ASSERT_EQUAL(found(feed_tenant_find(&f, "a"), "mine"), KEEP);
        CU_ASSERT_EQUAL(found(feed_tenant_find(&f, "a"), NULL), KEEP);
        CU_ASSERT_EQUAL(found(feed_tenant_find(&f, "b"), "yours"), all);
        CU_ASSERT_EQUAL(log_ask_count(&f, feed_tenant_find(&f, "a"), NULL), KEEP);
        CU_ASSERT_EQUAL(log_ask_count(&f, feed_tenant_find(&f, "b"), NULL), all);
        feed_close(&f);
    }
}

/* A tenant whose words are in no text of the file. */
static void is_overwritten(void) {
    struct car_buf bytes = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_file_read(store_path(), 64u << 20, &bytes), 0);
    CU_ASSERT_PTR_NOT_NULL(memmem(bytes.data, bytes.len, "blackbird", 9));
    CU_ASSERT_PTR_NULL(memmem(bytes.data, bytes.len, "zebrafinch", 10));
    car_buf_free(&bytes);
}

/* What a former process has not deleted is deleted; and no text of it is in the file then. */
static void test_in_the_midst(void) {
    static const char *const KINDS[] = {"commit", "postgres"};
    for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
        store_new();
        open_store(KINDS[k]);
        struct car_tenant *a = feed_tenant(&f, "a");
        struct car_tenant *b = feed_tenant(&f, "b");
        CU_ASSERT_EQUAL(account_put_key(&f, a, 'a'), 0);
        for (unsigned i = 0; i < 8; i++) {
            publish(a, 1000, "zebrafinch");
            publish(b, 100, "blackbird");
        }
        CU_ASSERT_EQUAL(account_remove(&f, a), 0);
        feed_close(&f);
        if (store_is_postgres()) { /* what repeats would be known by */
            postgres_run(store_uri(), "INSERT INTO carillon.idempotency SELECT tenant, uuid_send(id), '', seq, 1, 0"
                                      " FROM carillon.events WHERE seq % 10 = 0");
        }
        CU_ASSERT_EQUAL(store_number("SELECT count(*) FROM tenants WHERE removed"), 1);
        CU_ASSERT(store_number("SELECT count(*) FROM events WHERE content LIKE '%zebrafinch%'") > 0);

        for (unsigned i = 0; i < 3; i++) { /* and again, with another one of that id */
            open_store(KINDS[k]);
            CU_ASSERT_EQUAL(feed_tenant_find(&f, "a") != NULL, i > 0);
            CU_ASSERT_EQUAL(account_told_count(), 0);
            publish(i ? feed_tenant_find(&f, "a") : feed_tenant(&f, "a"), 1, "blackbird");
            feed_close(&f);
        }
        open_store(KINDS[k]);
        is_erased();
        CU_ASSERT_EQUAL(car_tenant_newest(feed_tenant_find(&f, "a")), 3);
        CU_ASSERT_EQUAL(found(feed_tenant_find(&f, "a"), NULL), 3);
        CU_ASSERT_EQUAL(found(feed_tenant_find(&f, "b"), "blackbird"), 800);
        CU_ASSERT_EQUAL(store_number("SELECT count(*) FROM events WHERE content LIKE '%zebrafinch%'"), 0);
        feed_close(&f);
        if (k == 0) {
            is_overwritten();
        }
    }
}

/* From now on the store takes nothing, until it is healed. */
static sqlite3 *sicken(void) {
    sqlite3 *other = NULL;
    if (store_is_postgres()) {
        postgres_run(store_uri(), "ALTER TABLE carillon.log ADD CONSTRAINT sick CHECK (false) NOT VALID");
        return NULL;
    }
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(store_path(), &other), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_busy_timeout(other, 5000), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return other;
}

static void heal(sqlite3 *other) {
    if (store_is_postgres()) {
        postgres_run(store_uri(), "ALTER TABLE carillon.log DROP CONSTRAINT sick");
        return;
    }
    CU_ASSERT_EQUAL(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_close(other), SQLITE_OK);
}

/* A store that takes nothing: nothing has changed, here or there. */
static void test_failing(void) {
    for (size_t i = 1; i < STORE_COUNT; i++) {
        struct car_tenant_terms terms = {.name = "fresh"};
        store_new();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        publish(a, 10, "word"); /* relaxed: what is owed is committed with the next change */
        CU_ASSERT_EQUAL(account_put(&f, a, "before", 1), 0);
        sqlite3 *other = sicken();
        CU_ASSERT_EQUAL(account_put(&f, a, "after", 2), CAR_ESYS);
        CU_ASSERT_EQUAL(account_put_key(&f, a, 'x'), CAR_ESYS);
        CU_ASSERT_EQUAL(account_remove(&f, a), CAR_ESYS);
        CU_ASSERT(atomic_load(&f.feed.log->failing));
        account_has_terms(&f, feed_tenant_find(&f, "a"), "before", 1);
        struct car_tenant *fresh = feed_tenant(&f, "fresh");
        CU_ASSERT_EQUAL(account_make(&f,
                                     (struct car_log_change){
                                         .kind = CAR_LOG_TENANT_PUT, .tenant = fresh, .terms = &terms, .fresh = true}),
                        CAR_ESYS);
        CU_ASSERT_PTR_NULL(feed_tenant_find(&f, "fresh"));
        heal(other);
        CU_ASSERT_EQUAL(account_put(&f, a, "later", 3), 0);
        CU_ASSERT_FALSE(atomic_load(&f.feed.log->failing));
        CU_ASSERT_EQUAL(found(a, "word"), 10);
        feed_close(&f);
        open_store(STORES[i]);
        account_has_terms(&f, feed_tenant_find(&f, "a"), "later", 3);
        CU_ASSERT_PTR_NULL(feed_tenant_find(&f, "fresh"));
        CU_ASSERT_EQUAL(account_told_count(), 0);
        feed_close(&f);
    }
}

static const struct car_test TESTS[] = {
    {"terms and keys", test_put},
    {"remove", test_remove},
    {"reopened in the midst", test_in_the_midst},
    {"failing store", test_failing},
};

int main(void) {
    store_folder();
    return car_suite_main("accounts", TESTS, sizeof TESTS / sizeof *TESTS);
}
