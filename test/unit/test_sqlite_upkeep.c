#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carillon/base/clock.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/sqlite.h"
#include "store/group.h"
#include "support/feed_fixture.h"
#include "support/log_ask.h"
#include "support/stores.h"

#include "suite.h"

/* What happens to a database beside its commits: forgetting, checkpoints, copies, and the way from an older schema. */

enum { KEEP = 20, MANY = 8000 };

static struct feed_fixture f;
static char folder[] = "/tmp/carillon-upkeep-XXXXXX";
static char path[64], search[80];
static unsigned files;
static unsigned long published;

static void new_path(void) {
    snprintf(path, sizeof path, "%s/%u.db", folder, files++);
    snprintf(search, sizeof search, "%s-search", path);
}

static void open_log(uint64_t retain_ms, uint64_t retain_count, bool relaxed) {
    const struct car_sqlite_config config = {
        .path = path, .relaxed = relaxed, .retain_ms = retain_ms, .retain_count = retain_count};
    feed_open_sqlite_with(&f, 1, KEEP, &config);
    feed_start(&f);
    published = 0;
}

struct job {
    const char *tenant;
    unsigned count;
    size_t padding;
};

/* Events whose type and words tell their seq apart. */
static void put_events(struct car_worker *worker, void *arg) {
    const struct job *job = arg;
    struct car_tenant *tenant = feed_tenant_find(&f, job->tenant);
    tenant = tenant ? tenant : feed_tenant(&f, job->tenant);
    (void)worker;
    for (unsigned i = 0; i < job->count; i++) {
        char message[2000];
        char type[16];
        int len = snprintf(message, sizeof message, "\"all some%u", i % 10);
        memset(message + len, ' ', job->padding);
        snprintf(message + len + job->padding, sizeof message - (size_t)len - job->padding, "\"");
        snprintf(type, sizeof type, "t%u", i % 4);
        feed_publish_event(&f, 0, feed_event(tenant, type, message));
    }
}

static void publish_padded(const char *tenant, unsigned count, size_t padding) {
    for (unsigned part; count; count -= part) {
        part = count < 500 ? count : 500;
        struct job job = {tenant, part, padding};
        feed_call(&f, 0, put_events, &job);
        published += part;
        feed_wait_answers(&f, published);
    }
}

static void publish(const char *tenant, unsigned count) {
    publish_padded(tenant, count, 0);
}

static int64_t number_of(const char *file, const char *sql) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t n = -1;
    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(db, 5000) == SQLITE_OK && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        n = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return n;
}

static void change(const char *sql) {
    store_change(path, sql);
}

/* Waits until the statement says so. */
static void becomes(const char *file, const char *sql, int64_t want) {
    int64_t is = -1;
    for (unsigned i = 0; i < 8000 && is != want; i++) {
        is = number_of(file, sql);
        usleep(is == want ? 0 : 2000);
    }
    if (is != want) {
        fprintf(stderr, "  %s: %lld, want %lld\n", sql, (long long)is, (long long)want);
    }
    CU_ASSERT_EQUAL(is, want);
}

static const char COUNT[] = "SELECT count(*) FROM events";

/* The counts by type are those of the rows that are there. */
static void counts_are_right(void) {
    CU_ASSERT_EQUAL(number_of(path, "SELECT count(*) FROM types t WHERE count != (SELECT count(*) FROM events e"
                                    " WHERE e.tenant = t.tenant AND e.type = t.type)"),
                    0);
}

/* A page from the first seq on begins behind what is forgotten, up and down. */
static void list_begins(const char *id, uint64_t first) {
    static uint64_t seqs[MANY];
    struct car_tenant *tenant = feed_tenant_find(&f, id);
    uint64_t newest = car_tenant_newest(tenant);
    for (unsigned down = 0; down < 2; down++) {
        unsigned n = log_ask_passing(&f, tenant, 1, newest, down, NULL, seqs, MANY);
        CU_ASSERT_EQUAL(n, newest - first + 1);
        CU_ASSERT(n && seqs[down ? n - 1 : 0] == first);
    }
    CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, tenant), first);
}

static void test_by_count(void) {
    for (unsigned relaxed = 0; relaxed < 2; relaxed++) {
        new_path();
        open_log(0, 100, relaxed);
        publish("a", 50);
        becomes(path, COUNT, 50); /* under relaxed they come a little later */
        change("INSERT INTO idempotency VALUES (1, x'01', x'', 10, 1, 0), (1, x'02', x'', 1400, 5, 0),"
               " (1, x'03', x'', 1450, 1, 0)");
        publish("a", 1450);
        publish("b", 100);
        publish("c", 7);
        becomes(path, COUNT, 207);
        CU_ASSERT_EQUAL(number_of(path, "SELECT min(seq) FROM events WHERE tenant = 1"), 1401);
        CU_ASSERT_EQUAL(number_of(path, "SELECT forgotten FROM tenants WHERE id = 'a'"), 1400);
        CU_ASSERT_EQUAL(number_of(path, "SELECT count(*) FROM idempotency"), 2);
        counts_are_right();
        list_begins("a", 1401);
        list_begins("b", 1);
        CU_ASSERT_EQUAL(log_ask_count(&f, feed_tenant_find(&f, "a"), NULL), 100);
        CU_ASSERT_EQUAL(log_ask_count(&f, feed_tenant_find(&f, "a"), "t1"), 25);
        feed_close(&f);

        open_log(0, 0, relaxed); /* nothing is forgotten any more, and what was stays so */
        CU_ASSERT_EQUAL(car_tenant_forgotten(feed_tenant_find(&f, "a")), 1400);
        publish("a", 10);
        becomes(path, COUNT, 217);
        list_begins("a", 1401);
        feed_close(&f);
    }
}

/* What is forgotten leaves the search index before it leaves the database. */
static void test_with_an_index(void) {
    static uint64_t seqs[MANY];
    struct car_filter filter = {0};
    new_path();
    open_log(0, 3000, false);
    publish("a", 2500);
    becomes(search, "SELECT high FROM places", 2500);
    publish("a", 3500);
    becomes(path, COUNT, 3000);
    becomes(search, "SELECT low FROM places", 3001);
    becomes(search, "SELECT high FROM places", 6000);
    CU_ASSERT_EQUAL(number_of(search, "SELECT count(*) FROM search WHERE search MATCH '\"1.0_\"*'"), 3000);
    CU_ASSERT_EQUAL(number_of(search, "SELECT min(rowid) & 0xffffff FROM search WHERE search MATCH '\"1.0_\"*'"), 3001);
    CU_ASSERT_EQUAL(number_of(search, "SELECT count(*) FROM search WHERE search MATCH '\"1.0=\"*'"), 3000);
    car_buf_put(&filter.words, "some3", 6);
    CU_ASSERT_EQUAL(log_ask_passing(&f, feed_tenant_find(&f, "a"), 1, 6000, false, &filter, seqs, MANY), 300);
    CU_ASSERT_EQUAL(seqs[0], 3004);
    counts_are_right();
    car_filter_free(&filter);
    feed_close(&f);
}

static void age(const char *which, int64_t hours) {
    char sql[200];
    snprintf(sql, sizeof sql, "UPDATE events SET sum = -1, wall_ms = %lld WHERE %s",
             (long long)(car_clock_wall_ms() - hours * 3600 * 1000), which);
    change(sql);
}

/* All before the first that is young enough, whatever lies behind it. */
static void test_by_age(void) {
    new_path();
    open_log(0, 0, false);
    publish("a", 5000);
    publish("b", 10);
    publish("c", 10);
    feed_close(&f);
    age("tenant = 1 AND seq <= 4000 AND seq != 3001", 3);
    age("tenant = 3", 3);
    open_log(2 * 3600 * 1000, 0, false);
    becomes(path, COUNT, 2000 + 10);
    CU_ASSERT_EQUAL(number_of(path, "SELECT forgotten FROM tenants WHERE id = 'a'"), 3000);
    CU_ASSERT_EQUAL(number_of(path, "SELECT forgotten FROM tenants WHERE id = 'c'"), 10);
    counts_are_right();
    list_begins("a", 3001);
    CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, feed_tenant_find(&f, "c")), 11);
    publish("c", 1);
    CU_ASSERT_EQUAL(car_tenant_newest(feed_tenant_find(&f, "c")), 11);
    list_begins("c", 11);
    feed_close(&f);
}

/* With nobody publishing, too; and the count says more where it is the stricter one. */
static void test_grows_old(void) {
    new_path();
    open_log(1000, 500, false);
    publish("a", 800);
    becomes(path, "SELECT count(*) <= 500 FROM events", 1);
    becomes(path, COUNT, 0);
    CU_ASSERT_EQUAL(car_feed_oldest(&f.feed, feed_tenant_find(&f, "a")), 801);
    CU_ASSERT_EQUAL(number_of(path, "SELECT sum(count) FROM types"), 0);
    feed_close(&f);
}

/* What a former process has forgotten and not deleted yet. */
static void test_goes_on(void) {
    new_path();
    open_log(0, 0, false);
    publish("a", 1000);
    feed_close(&f);
    change("UPDATE tenants SET forgotten = 700");
    open_log(0, 0, false);
    becomes(path, COUNT, 300);
    counts_are_right();
    list_begins("a", 701);
    feed_close(&f);
}

/* The upkeep may ask for a turn while the log ends. */

static atomic_bool let_go;
static struct car_log *ending;
static struct car_note busy, asking;

static void be_busy(struct car_note *note, void *owner) {
    (void)note;
    (void)owner;
    while (!atomic_load(&let_go)) {
        usleep(1000);
    }
}

static void ask_for_a_turn(struct car_note *note, void *owner) {
    (void)note;
    (void)owner;
    car_group_tend(ending);
}

static void *ask_late(void *log_worker) {
    usleep(100000); /* the log has been told to stop by then, and hears of both at once */
    car_mailbox_post(&((struct car_worker *)log_worker)->mailbox, &asking);
    atomic_store(&let_go, true);
    return NULL;
}

static void test_asked_late(void) {
    pthread_t late;
    new_path();
    open_log(0, 0, false);
    publish("a", 10);
    struct car_worker *log_worker = car_group_worker(f.feed.log);
    ending = f.feed.log;
    busy.run = be_busy;
    asking.run = ask_for_a_turn;
    car_mailbox_post(&log_worker->mailbox, &busy);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&late, NULL, ask_late, log_worker), 0);
    feed_close(&f);
    pthread_join(late, NULL);
    CU_ASSERT_EQUAL(number_of(path, COUNT), 10);
}

/* What is deleted makes room for what comes, and the WAL begins anew. */
static void test_stays_small(void) {
    struct stat wal;
    char wal_path[80];
    new_path();
    snprintf(wal_path, sizeof wal_path, "%s-wal", path);
    open_log(0, 1000, false);
    int64_t first = 0;
    int64_t pages = 0;
    for (unsigned round = 0; round < 6; round++) {
        publish_padded("a", 5000, 1000);
        becomes(path, COUNT, 1000);
        pages = number_of(path, "PRAGMA page_count");
        first = round ? first : pages;
    }
    CU_ASSERT(pages < first + 6000); /* 25,000 more would have been written */
    CU_ASSERT_EQUAL_FATAL(stat(wal_path, &wal), 0);
    CU_ASSERT(wal.st_size < 96 << 20); /* of 200 MiB that went through it */
    feed_close(&f);
    CU_ASSERT_EQUAL(number_of(path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

/* The upkeep brings the WAL to the database, with no help of the connection that commits. */
static void test_checkpoints(void) {
    struct stat status = {0};
    new_path();
    open_log(0, 0, false);
    publish_padded("a", 8000, 1500);
    for (unsigned i = 0; i < 5000 && status.st_size < 6 << 20; i++) {
        CU_ASSERT_EQUAL_FATAL(stat(path, &status), 0);
        usleep(2000);
    }
    CU_ASSERT(status.st_size >= 6 << 20);
    feed_close(&f);
}

static void test_backup(void) {
    struct car_sqlite_backup done = {0};
    char copy[80];
    char why[400] = "";
    new_path();
    snprintf(copy, sizeof copy, "%s-copy", path);
    open_log(0, 0, false);
    publish("a", 3000);
    CU_ASSERT_EQUAL(car_sqlite_backup(path, copy, &done, why, sizeof why), 0);
    CU_ASSERT_EQUAL(done.events, 3000);
    publish("a", 100);
    CU_ASSERT_EQUAL(number_of(copy, COUNT), 3000);
    CU_ASSERT_NOT_EQUAL(car_sqlite_backup(path, copy, &done, why, sizeof why), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "is there already"));
    feed_close(&f);
}

/* A database of schema 1, as release 0.1.0-dev made it. */
static void make_version_1(void) {
    new_path();
    change("CREATE TABLE log (epoch TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
           "CREATE TABLE tenants (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,"
           " newest INTEGER NOT NULL) STRICT;"
           "CREATE TABLE events (tenant INTEGER NOT NULL REFERENCES tenants, seq INTEGER NOT NULL, id BLOB NOT NULL,"
           " wall_ms INTEGER NOT NULL, type TEXT NOT NULL, content TEXT NOT NULL,"
           " PRIMARY KEY (tenant, seq)) STRICT, WITHOUT ROWID;"
           "PRAGMA application_id = 1131179569; PRAGMA user_version = 1;"
           "INSERT INTO log VALUES ('0123456789abcdef', 5);"
           "INSERT INTO tenants VALUES (1, 'a', 7, 2000), (2, 'b', 8, 1);"
           "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
           " INSERT INTO events SELECT 1, i, randomblob(16), 1700000000000 + i, 't' || (i % 4),"
           " ',\"message\":\"m' || i || '\"' FROM n;"
           "INSERT INTO events VALUES (2, 1, randomblob(16), 9, 'message', ',\"metadata\":{\"k\":1}');"
           "PRAGMA journal_mode = WAL");
}

static void test_from_version_1(void) {
    make_version_1();
    open_log(0, 0, false);
    struct car_tenant *a = feed_tenant_find(&f, "a");
    CU_ASSERT_STRING_EQUAL(f.feed.epoch, "0123456789abcdef");
    CU_ASSERT_EQUAL(car_tenant_newest(a), 2000);
    CU_ASSERT_EQUAL(car_tenant_created_ms(a), 7);
    list_begins("a", 1);
    CU_ASSERT_EQUAL(log_ask_count(&f, a, "t3"), 500);
    CU_ASSERT_EQUAL(log_ask_count(&f, feed_tenant_find(&f, "b"), NULL), 1);
    struct car_log_page page = {.ask.tenant = a, .first = 42, .last = 42, .max_events = 1, .max_bytes = 1};
    CU_ASSERT_EQUAL(log_ask_page(&f, &page), 0);
    CU_ASSERT_EQUAL_FATAL(page.count, 1);
    CU_ASSERT_EQUAL(page.events[0]->wall_ms, 1700000000042);
    struct car_span json = car_event_json(page.events[0]);
    CU_ASSERT_PTR_NOT_NULL(memmem(json.ptr, json.len, "\"message\":\"m42\"", 15));
    log_let_go(&page);

    publish("a", 1); /* its id says which it is: the log has a key now */
    page = (struct car_log_page){.ask.tenant = a, .first = 2001, .last = 2001, .max_events = 1, .max_bytes = 1};
    CU_ASSERT_EQUAL(log_ask_page(&f, &page), 0);
    CU_ASSERT_EQUAL_FATAL(page.count, 1);
    CU_ASSERT_EQUAL(car_feed_seq_of(&f.feed, a, car_event_id(page.events[0])), 2001);
    log_let_go(&page);
    counts_are_right();
    feed_close(&f);
    CU_ASSERT_EQUAL(number_of(path, "PRAGMA user_version"), 3);
}

/* As version 2 was; its rows have sums, or none where they are older. */
static void make_version_2(void) {
    make_version_1();
    change("ALTER TABLE log ADD COLUMN id_key BLOB NOT NULL DEFAULT x'';"
           "UPDATE log SET id_key = randomblob(32);"
           "ALTER TABLE tenants ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;"
           "ALTER TABLE tenants ADD COLUMN sum INTEGER NOT NULL DEFAULT -1;"
           "CREATE TABLE types (tenant INTEGER NOT NULL REFERENCES tenants, type TEXT NOT NULL, count INTEGER NOT NULL,"
           " PRIMARY KEY (tenant, type)) STRICT, WITHOUT ROWID;"
           "ALTER TABLE events ADD COLUMN sum INTEGER NOT NULL DEFAULT -1;"
           "INSERT INTO types SELECT tenant, type, count(*) FROM events GROUP BY tenant, type;"
           "CREATE TABLE idempotency (tenant INTEGER NOT NULL REFERENCES tenants, key BLOB NOT NULL,"
           " body BLOB NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
           " PRIMARY KEY (tenant, key)) STRICT, WITHOUT ROWID;"
           "CREATE INDEX idempotency_at ON idempotency (at_ms);"
           "CREATE INDEX idempotency_first ON idempotency (tenant, first);"
           "INSERT INTO idempotency VALUES (1, x'00', x'00', 1990, 1, 9000000000000);"
           "UPDATE tenants SET forgotten = 100, sum = 3904355907 WHERE id = 'a';" /* crc32 of "a" */
           "DELETE FROM events WHERE tenant = 1 AND seq <= 100;"
           "DELETE FROM types WHERE tenant = 1;"
           "INSERT INTO types SELECT tenant, type, count(*) FROM events WHERE tenant = 1 GROUP BY type;"
           "PRAGMA user_version = 2");
}

static void test_from_version_2(void) {
    make_version_2();
    open_log(0, 0, false);
    struct car_tenant *a = feed_tenant_find(&f, "a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_EQUAL(car_tenant_newest(a), 2000);
    CU_ASSERT_EQUAL(car_tenant_forgotten(a), 100);
    CU_ASSERT_EQUAL(car_tenant_created_ms(a), 7);
    CU_ASSERT_EQUAL(car_tenant_salt(a), 0); /* the ids that it has given are good for as long as it lives */
    list_begins("a", 101);
    CU_ASSERT_EQUAL(log_ask_count(&f, a, NULL), 1900);
    publish("a", 5);
    publish("new", 5);
    counts_are_right();
    int64_t salt = car_tenant_salt(feed_tenant_find(&f, "new"));
    feed_close(&f);
    CU_ASSERT_EQUAL(number_of(path, "PRAGMA user_version"), 3);
    CU_ASSERT_EQUAL(number_of(path, "SELECT count(*) FROM idempotency"), 1);
    CU_ASSERT_EQUAL(number_of(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'tenants_3'"), 0);
    CU_ASSERT_EQUAL(number_of(path, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    open_log(0, 0, false);
    CU_ASSERT_EQUAL(car_tenant_newest(feed_tenant_find(&f, "a")), 2005);
    CU_ASSERT_EQUAL(car_tenant_salt(feed_tenant_find(&f, "a")), 0);
    CU_ASSERT_EQUAL(car_tenant_salt(feed_tenant_find(&f, "new")), salt);
    feed_close(&f);
}

static bool opens(void) {
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_reader *reader = car_reader_open(reclaim);
    struct car_feed feed = {.registry = car_registry_new(10), .keep = KEEP};
    const struct car_sqlite_config config = {.path = path};
    struct car_log *log = NULL;
    char why[400] = "";
    bool good = car_log_sqlite(&feed, reclaim, reader, &config, &log, why, sizeof why) == 0;
    if (good) {
        log->ops->close(&log);
    }
    car_reader_close(&reader);
    car_registry_free(&feed.registry);
    car_reclaim_free(&reclaim);
    return good;
}

/* Where there is no room for the new schema the old one is there, whole. */
static void test_interrupted_update(void) {
    struct rlimit limit;
    make_version_1();
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = 8192;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CU_ASSERT_FALSE(opens());
    limit.rlim_cur = soft;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CU_ASSERT_EQUAL(number_of(path, "PRAGMA user_version"), 1);
    CU_ASSERT_EQUAL(number_of(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'types'"), 0);
    CU_ASSERT_EQUAL(number_of(path, COUNT), 2001);
    CU_ASSERT(opens());
    CU_ASSERT_EQUAL(number_of(path, "PRAGMA user_version"), 3);
}

static const struct car_test TESTS[] = {
    {"by count", test_by_count},
    {"with an index", test_with_an_index},
    {"by age", test_by_age},
    {"grows old", test_grows_old},
    {"goes on", test_goes_on},
    {"asked late", test_asked_late},
    {"stays small", test_stays_small},
    {"checkpoints", test_checkpoints},
    {"backup", test_backup},
    {"from version 1", test_from_version_1},
    {"from version 2", test_from_version_2},
    {"interrupted update", test_interrupted_update},
};

int main(void) {
    char command[100];
    signal(SIGXFSZ, SIG_IGN);
    if (!mkdtemp(folder)) {
        return EXIT_FAILURE;
    }
    int status = car_suite_main("sqlite_upkeep", TESTS, sizeof TESTS / sizeof *TESTS);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
    return status;
}
