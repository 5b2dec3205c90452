#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/log.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/tenant.h"
#include "carillon/feed/words.h"
#include "support/feed_fixture.h"
#include "support/log_ask.h"
#include "support/postgres.h"
#include "support/stores.h"

#include "suite.h"

/* Events with a traceparent in every log, and in databases that were made before there were any. */

enum { WORKERS = 2, KEEP = 3 };

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define OTHER "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203332-01"
#define COUNT "SELECT count(*) FROM events WHERE traceparent "

static const char *const STORES[] = STORE_NAMES;
enum { STORE_COUNT = sizeof STORES / sizeof *STORES };

static struct feed_fixture f;

static void open_log(const char *store) {
    store_open(&f, store, WORKERS, KEEP, 0);
}

/* A publish, and what its last event's text was when it was answered. */
struct ticket {
    struct car_publish publish; /* first */
    struct car_publish_key key;
    struct car_event *events[4];
    int status;
    bool replayed;
    char json[500];
    atomic_bool answered;
};

static struct ticket ticket;

static void on_done(struct car_publish *publish) {
    ticket.status = publish->status;
    ticket.replayed = publish->replayed;
    for (uint32_t i = 0; i < publish->count; i++) {
        if (publish->status == 0) {
            struct car_span json = car_event_json(ticket.events[i]);
            snprintf(ticket.json, sizeof ticket.json, "%.*s", (int)json.len, json.ptr);
        }
        car_event_unref(&ticket.events[i]);
    }
    atomic_store(&ticket.answered, true);
}

static void post(struct car_worker *worker, void *arg) {
    (void)arg;
    CU_ASSERT_EQUAL_FATAL(car_publish(&ticket.publish, worker), 0);
}

/* Publishes so many events of that traceparent; NULL for none. A key of 0 is none. The status. */
static int publish(struct car_tenant *tenant, const char *traceparent, uint32_t count, uint8_t key) {
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = CAR_SPAN("\"word\"")};
    draft.traceparent = car_span_cstr(traceparent);
    ticket = (struct ticket){.key = {.key = {key}, .body = {key}}};
    ticket.publish = (struct car_publish){
        .tenant = tenant, .events = ticket.events, .count = count, .key = key ? &ticket.key : NULL, .done = on_done};
    for (uint32_t i = 0; i < count; i++) {
        ticket.events[i] = car_event_new(tenant, &draft);
        CU_ASSERT_PTR_NOT_NULL_FATAL(ticket.events[i]);
    }
    feed_call(&f, 0, post, NULL);
    for (unsigned i = 0; i < 60000 && !atomic_load(&ticket.answered); i++) {
        usleep(500);
    }
    CU_ASSERT_FATAL(atomic_load(&ticket.answered));
    return ticket.status;
}

/* What stands at the end of an event's text. */
static bool ends_with(const char *json, const char *traceparent) {
    char want[100];
    int len = traceparent ? snprintf(want, sizeof want, "Z\",\"traceparent\":\"%s\"}", traceparent)
                          : snprintf(want, sizeof want, "Z\"}");
    size_t all = strlen(json);
    return all > (size_t)len && strcmp(json + all - len, want) == 0;
}

/* The text of one event, as the database has it; the status. */
static int read_one(struct car_tenant *tenant, uint64_t seq, char *out, size_t size) {
    struct car_log_page page = {.ask.tenant = tenant, .first = seq, .last = seq, .max_events = 1, .max_bytes = 1};
    int status = log_ask_page(&f, &page);
    for (unsigned i = 0; i < 4000 && status == 0 && page.seen == 0; i++) {
        usleep(500); /* under relaxed it may be on its way */
        status = log_ask_page(&f, &page);
    }
    out[0] = '\0';
    if (status == 0 && page.count == 1) {
        struct car_span json = car_event_json(page.events[0]);
        snprintf(out, size, "%.*s", (int)json.len, json.ptr);
    }
    log_let_go(&page);
    return status;
}

/* The traceparents of seq 1 to 12. */
static const char *traceparent_of(uint64_t seq) {
    return seq >= 9 ? OTHER : seq % 3 == 0 ? TRACE : NULL;
}

enum { EVENTS = 12 };

static char texts[EVENTS + 1][sizeof ticket.json];

static void publish_all(struct car_tenant *a) {
    for (uint64_t seq = 1; seq <= 8; seq++) {
        CU_ASSERT_EQUAL(publish(a, traceparent_of(seq), 1, 0), 0);
        CU_ASSERT(ends_with(ticket.json, traceparent_of(seq)));
        memcpy(texts[seq], ticket.json, sizeof texts[seq]);
    }
    CU_ASSERT_EQUAL(publish(a, OTHER, 4, 0), 0); /* a batch */
    CU_ASSERT(ends_with(ticket.json, OTHER));
    memcpy(texts[EVENTS], ticket.json, sizeof texts[EVENTS]);
}

static void expect_all(struct car_tenant *a) {
    char text[sizeof ticket.json];
    for (uint64_t seq = 1; seq <= EVENTS; seq++) {
        CU_ASSERT_EQUAL(read_one(a, seq, text, sizeof text), 0);
        CU_ASSERT(ends_with(text, traceparent_of(seq)));
        if (texts[seq][0]) {
            CU_ASSERT_STRING_EQUAL(text, texts[seq]);
        }
    }
}

static int64_t version(void) {
    return store_number(store_is_postgres() ? "SELECT max(version)::bigint FROM versions" : "PRAGMA user_version");
}

/* What is asked for by words does not find it. */
static void expect_no_words(struct car_tenant *a) {
    struct car_filter filter = {.has_from = false};
    uint64_t seqs[EVENTS];
    car_words_asked(CAR_SPAN("b7ad6b7169203331"), &filter.words);
    CU_ASSERT_EQUAL(log_ask_passing(&f, a, 1, EVENTS, false, &filter, seqs, EVENTS), 0);
    filter.words.len = 0;
    car_words_asked(CAR_SPAN("word"), &filter.words);
    CU_ASSERT_EQUAL(log_ask_passing(&f, a, 1, EVENTS, false, &filter, seqs, EVENTS), EVENTS);
    car_filter_free(&filter);
}

static void test_kept(void) {
    for (size_t i = 0; i < STORE_COUNT; i++) {
        store_new();
        open_log(STORES[i]);
        publish_all(feed_tenant(&f, "a"));
        for (unsigned round = 0; round < 3 && i > 0; round++) {
            expect_all(feed_tenant_find(&f, "a"));
            expect_no_words(feed_tenant_find(&f, "a"));
            CU_ASSERT_EQUAL(store_number(COUNT "= '" TRACE "'"), 2);
            CU_ASSERT_EQUAL(store_number(COUNT "= '" OTHER "'"), 4);
            CU_ASSERT_EQUAL(store_number(COUNT "IS NULL"), 6);
            feed_close(&f);
            open_log(STORES[i]);
        }
        feed_close(&f);
    }
}

/* A repeat is answered with the first, also where its own request came from another span. */
static void test_repeats(void) {
    char first[sizeof ticket.json];
    char bare[sizeof ticket.json];
    for (size_t i = 0; i < STORE_COUNT; i++) {
        store_new();
        open_log(STORES[i]);
        CU_ASSERT_EQUAL(publish(feed_tenant(&f, "a"), TRACE, 1, 1), 0);
        memcpy(first, ticket.json, sizeof first);
        CU_ASSERT_EQUAL(publish(feed_tenant_find(&f, "a"), NULL, 1, 2), 0);
        memcpy(bare, ticket.json, sizeof bare);
        CU_ASSERT_EQUAL(publish(feed_tenant_find(&f, "a"), NULL, 4, 0), 0); /* memory has let go of them */
        for (unsigned round = 0; round < 2; round++) {
            CU_ASSERT_EQUAL(publish(feed_tenant_find(&f, "a"), OTHER, 1, 1), 0);
            CU_ASSERT(ticket.replayed);
            CU_ASSERT_STRING_EQUAL(ticket.json, first);
            CU_ASSERT_EQUAL(publish(feed_tenant_find(&f, "a"), OTHER, 1, 2), 0);
            CU_ASSERT(ticket.replayed);
            CU_ASSERT_STRING_EQUAL(ticket.json, bare);
            if (i > 0) {
                feed_close(&f);
                open_log(STORES[i]);
            }
        }
        feed_close(&f);
    }
}

static void change(const char *sql) {
    store_change(store_path(), sql);
}

/* The sum covers it: what is not what was stored is told. */
static void test_damaged(void) {
    static const char *const DAMAGE[] = {
        "UPDATE events SET traceparent = '" OTHER "' WHERE seq = 3",
        "UPDATE events SET traceparent = NULL WHERE seq = 3",
        "UPDATE events SET traceparent = '' WHERE seq = 3",
        "UPDATE events SET traceparent = '" TRACE "' WHERE seq = 2",
        "UPDATE events SET traceparent = 'x' WHERE seq = 2",
    };
    for (size_t i = 0; i < sizeof DAMAGE / sizeof *DAMAGE; i++) {
        char text[sizeof ticket.json];
        store_new();
        open_log("commit");
        publish_all(feed_tenant(&f, "a"));
        feed_close(&f);
        change(DAMAGE[i]);
        open_log("commit");
        struct car_tenant *a = feed_tenant_find(&f, "a");
        uint64_t hurt = i < 3 ? 3 : 2;
        CU_ASSERT_EQUAL(read_one(a, hurt, text, sizeof text), CAR_EINVAL);
        CU_ASSERT_EQUAL(read_one(a, 1, text, sizeof text), 0);
        CU_ASSERT_EQUAL(read_one(a, 6, text, sizeof text), 0);
        feed_close(&f);
    }
}

/* PostgreSQL has sums of its own; what would break the event's text is told all the same. */
static void test_damaged_postgres(void) {
    char text[sizeof ticket.json];
    store_new();
    open_log("postgres");
    publish_all(feed_tenant(&f, "a"));
    feed_close(&f);
    postgres_run(store_uri(), "UPDATE carillon.events SET traceparent = '\"' || substr(traceparent, 2) WHERE seq = 3");
    open_log("postgres");
    CU_ASSERT_EQUAL(read_one(feed_tenant_find(&f, "a"), 3, text, sizeof text), CAR_EINVAL);
    CU_ASSERT_EQUAL(read_one(feed_tenant_find(&f, "a"), 6, text, sizeof text), 0);
    feed_close(&f);
}

/* A database is of version 3 until it holds one. */
static void test_version(void) {
    for (size_t i = 1; i < STORE_COUNT; i++) {
        store_new();
        open_log(STORES[i]);
        CU_ASSERT_EQUAL(publish(feed_tenant(&f, "a"), NULL, 4, 0), 0);
        feed_close(&f);
        CU_ASSERT_EQUAL(version(), 3);
        open_log(STORES[i]);
        CU_ASSERT_EQUAL(publish(feed_tenant_find(&f, "a"), TRACE, 1, 0), 0);
        feed_close(&f);
        CU_ASSERT_EQUAL(version(), 4);
        open_log(STORES[i]);
        CU_ASSERT_EQUAL(publish(feed_tenant_find(&f, "a"), NULL, 1, 0), 0);
        feed_close(&f);
        CU_ASSERT_EQUAL(version(), 4);
    }
}

/* Where the transaction that says so has failed, the next one does. */
static void test_version_after_failure(void) {
    struct rlimit limit;
    store_new();
    open_log("commit");
    struct car_tenant *a = feed_tenant(&f, "a");
    CU_ASSERT_EQUAL(publish(a, NULL, 1, 0), 0);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = 4096;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CU_ASSERT_NOT_EQUAL(publish(a, TRACE, 1, 0), 0);
    limit.rlim_cur = soft;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CU_ASSERT_EQUAL(publish(a, NULL, 1, 0), 0);
    CU_ASSERT_EQUAL(version(), 3);
    CU_ASSERT_EQUAL(publish(a, TRACE, 1, 0), 0);
    CU_ASSERT_EQUAL(version(), 4);
    feed_close(&f);
    CU_ASSERT_EQUAL(version(), 4);
    CU_ASSERT_EQUAL(store_number("SELECT count(*) FROM events"), 3);
}

/* A database as version 3 made it; its sums, too. */
static void make_version_3(void) {
    store_new();
    change("CREATE TABLE log (epoch TEXT NOT NULL, created_ms INTEGER NOT NULL, id_key BLOB NOT NULL DEFAULT x'')"
           " STRICT;"
           "CREATE TABLE tenants (n INTEGER PRIMARY KEY, id TEXT NOT NULL, created_ms INTEGER NOT NULL,"
           " newest INTEGER NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0, sum INTEGER NOT NULL DEFAULT -1,"
           " removed INTEGER NOT NULL DEFAULT 0, name TEXT NOT NULL DEFAULT '', events INTEGER NOT NULL DEFAULT 0,"
           " events_window_ms INTEGER NOT NULL DEFAULT 0, bytes_s INTEGER NOT NULL DEFAULT 0,"
           " connections INTEGER NOT NULL DEFAULT 0, message_bytes INTEGER NOT NULL DEFAULT 0,"
           " buffer_events INTEGER NOT NULL DEFAULT 0, retention_ms INTEGER NOT NULL DEFAULT 0,"
           " retention_count INTEGER NOT NULL DEFAULT 0, salt INTEGER NOT NULL DEFAULT 0,"
           " terms_sum INTEGER NOT NULL DEFAULT -1) STRICT;"
           "CREATE UNIQUE INDEX tenants_id ON tenants (id) WHERE removed = 0;"
           "CREATE TABLE events (tenant INTEGER NOT NULL REFERENCES tenants, seq INTEGER NOT NULL, id BLOB NOT NULL,"
           " wall_ms INTEGER NOT NULL, type TEXT NOT NULL, content TEXT NOT NULL, sum INTEGER NOT NULL DEFAULT -1,"
           " PRIMARY KEY (tenant, seq)) STRICT, WITHOUT ROWID;"
           "CREATE TABLE types (tenant INTEGER NOT NULL REFERENCES tenants, type TEXT NOT NULL, count INTEGER NOT NULL,"
           " PRIMARY KEY (tenant, type)) STRICT, WITHOUT ROWID;"
           "CREATE TABLE idempotency (tenant INTEGER NOT NULL REFERENCES tenants, key BLOB NOT NULL,"
           " body BLOB NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
           " PRIMARY KEY (tenant, key)) STRICT, WITHOUT ROWID;"
           "CREATE INDEX idempotency_at ON idempotency (at_ms);"
           "CREATE INDEX idempotency_first ON idempotency (tenant, first);"
           "CREATE TABLE keys (kid TEXT PRIMARY KEY, tenant INTEGER NOT NULL REFERENCES tenants, digest BLOB NOT NULL,"
           " prefix TEXT NOT NULL, scopes INTEGER NOT NULL, created_ms INTEGER NOT NULL, sum INTEGER NOT NULL)"
           " STRICT, WITHOUT ROWID;"
           "CREATE INDEX keys_tenant ON keys (tenant);"
           "INSERT INTO log VALUES ('0123456789abcdef', 5, randomblob(32));"
           "INSERT INTO tenants (n, id, created_ms, newest, sum) VALUES (1, 'a', 7, 2, 3904355907);"
           "INSERT INTO types VALUES (1, 't', 2);"
           "PRAGMA application_id = 1131179569; PRAGMA user_version = 3; PRAGMA journal_mode = WAL");
}

/* As a program of version 3 writes an event: the sums are CRC-32, of 'a', NUL, seq, id, wall_ms, 't', NUL, content. */
static void write_version_3(unsigned seq) {
    static const unsigned long SUMS[] = {0, 3628409625, 551168551, 2001785549};
    char sql[400];
    snprintf(sql, sizeof sql,
             "INSERT INTO events (tenant, seq, id, wall_ms, type, content, sum)"
             " VALUES (1, %u, x'%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x', 170000000000%u, 't',"
             " ',\"message\":\"m%u\"', %lu); UPDATE tenants SET newest = %u; PRAGMA user_version = 3",
             seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, seq, SUMS[seq],
             seq);
    change(sql);
}

static void expect_old(struct car_tenant *a, unsigned count) {
    char text[sizeof ticket.json];
    char want[40];
    for (unsigned seq = 1; seq <= count; seq++) {
        CU_ASSERT_EQUAL(read_one(a, seq, text, sizeof text), 0);
        snprintf(want, sizeof want, "\"message\":\"m%u\",\"timestamp\"", seq);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, want));
        CU_ASSERT(ends_with(text, NULL));
    }
}

/* And whoever goes on with it, because an upgrade has failed, knows nothing of what is new. */
static void test_from_version_3(void) {
    char text[sizeof ticket.json];
    make_version_3();
    write_version_3(1);
    write_version_3(2);
    open_log("commit");
    CU_ASSERT_STRING_EQUAL(f.feed.epoch, "0123456789abcdef");
    expect_old(feed_tenant_find(&f, "a"), 2);
    feed_close(&f);
    CU_ASSERT_EQUAL(version(), 3);
    CU_ASSERT_EQUAL(store_number("SELECT count(*) FROM pragma_table_info('events') WHERE name = 'traceparent'"), 1);
    write_version_3(3);
    for (unsigned round = 0; round < 2; round++) {
        open_log("commit");
        struct car_tenant *a = feed_tenant_find(&f, "a");
        expect_old(a, 3);
        CU_ASSERT_EQUAL(publish(a, TRACE, 1, 0), 0);
        CU_ASSERT_EQUAL(publish(a, NULL, 1, 0), 0);
        CU_ASSERT_EQUAL(read_one(a, 4 + 2 * round, text, sizeof text), 0);
        CU_ASSERT(ends_with(text, TRACE));
        CU_ASSERT_EQUAL(read_one(a, 5 + 2 * round, text, sizeof text), 0);
        CU_ASSERT(ends_with(text, NULL));
        feed_close(&f);
        CU_ASSERT_EQUAL(version(), 4);
    }
}

/* The schema of version 3 is the present one without the column. */
static void test_from_postgres_version_3(void) {
    char text[sizeof ticket.json];
    store_new();
    open_log("postgres");
    CU_ASSERT_EQUAL(publish(feed_tenant(&f, "a"), NULL, 4, 0), 0);
    feed_close(&f);
    postgres_run(store_uri(), "ALTER TABLE carillon.events DROP COLUMN traceparent");
    for (unsigned round = 0; round < 2; round++) { /* the second finds the column there, as after a failed upgrade */
        open_log("postgres");
        for (uint64_t seq = 1; seq <= 4; seq++) {
            CU_ASSERT_EQUAL(read_one(feed_tenant_find(&f, "a"), seq, text, sizeof text), 0);
            CU_ASSERT(ends_with(text, NULL));
        }
        CU_ASSERT_EQUAL(version(), 3);
        feed_close(&f);
    }
    open_log("postgres");
    CU_ASSERT_EQUAL(publish(feed_tenant_find(&f, "a"), TRACE, 1, 0), 0);
    CU_ASSERT_EQUAL(read_one(feed_tenant_find(&f, "a"), 5, text, sizeof text), 0);
    CU_ASSERT(ends_with(text, TRACE));
    feed_close(&f);
    CU_ASSERT_EQUAL(version(), 4);
}

static const struct car_test TESTS[] = {
    {"kept", test_kept},
    {"repeats", test_repeats},
    {"damaged", test_damaged},
    {"damaged in PostgreSQL", test_damaged_postgres},
    {"version", test_version},
    {"version after a failure", test_version_after_failure},
    {"from version 3", test_from_version_3},
    {"from PostgreSQL's version 3", test_from_postgres_version_3},
};

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    store_folder();
    return car_suite_main("traced_log", TESTS, sizeof TESTS / sizeof *TESTS);
}
