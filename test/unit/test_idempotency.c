#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/drain.h"
#include "carillon/feed/event.h"
#include "carillon/feed/log.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/repeat.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

#include "suite.h"
#include "support/feed_fixture.h"
#include "support/postgres.h"

/* Publishes with a key are stored once, whatever the log: what it knows of them it knows as long as their events. */

enum { WORKERS = 2, KEEP = 5, EVENTS = 300 };

/* The logs: in memory, and in databases. */
enum store { MEMORY, SQLITE, SQLITE_RELAXED, POSTGRES, POSTGRES_RELAXED, STORES };

static struct feed_fixture f;
static char folder[] = "/tmp/carillon-keys-XXXXXX";
static char path[64];
static char uri[200];
static unsigned files;

static bool is_relaxed(enum store store) {
    return store == SQLITE_RELAXED || store == POSTGRES_RELAXED;
}

static void open_store(enum store store) {
    if (store == MEMORY) {
        feed_open(&f, WORKERS, KEEP);
    } else if (store < POSTGRES) {
        feed_open_sqlite(&f, WORKERS, KEEP, path, is_relaxed(store));
    } else {
        feed_open_postgres(&f, WORKERS, KEEP, uri, is_relaxed(store));
    }
    feed_start(&f);
}

static struct car_tenant *open_new(enum store store) {
    if (store < POSTGRES) {
        snprintf(path, sizeof path, "%s/%u.db", folder, files++);
    } else {
        postgres_new(uri, sizeof uri);
    }
    open_store(store);
    return feed_tenant(&f, "a");
}

/* A publisher, and what it was answered. */
struct ticket {
    struct car_publish publish;
    struct car_publish_key key;
    struct car_event *events[EVENTS];
    unsigned worker;
    int err;
    int status;
    bool replayed;
    uint64_t first, last; /* seqs */
    char json[400];       /* of the first event */
    atomic_bool answered;
};

static void on_done(struct car_publish *publish) {
    struct ticket *ticket = (struct ticket *)publish; /* its first member */
    ticket->status = publish->status;
    ticket->replayed = publish->replayed;
    if (publish->status == 0) {
        struct car_span json = car_event_json(ticket->events[0]);
        ticket->first = ticket->events[0]->seq;
        ticket->last = ticket->events[publish->count - 1]->seq;
        snprintf(ticket->json, sizeof ticket->json, "%.*s", (int)json.len, json.ptr);
    }
    for (uint32_t i = 0; i < publish->count; i++) {
        car_event_unref(&ticket->events[i]);
    }
    atomic_store(&ticket->answered, true);
}

static void post(struct car_worker *worker, void *arg) {
    struct ticket *ticket = arg;
    ticket->err = car_publish(&ticket->publish, worker);
}

/* Has so many events published; without a key where that is 0. */
static void begin(struct ticket *ticket, struct car_tenant *tenant, unsigned key, unsigned body, uint32_t count) {
    static unsigned turn;
    *ticket = (struct ticket){.worker = turn++ % WORKERS};
    memcpy(ticket->key.key, &key, sizeof key);
    memcpy(ticket->key.body, &body, sizeof body);
    ticket->publish = (struct car_publish){
        .tenant = tenant, .events = ticket->events, .count = count, .key = key ? &ticket->key : NULL, .done = on_done};
    for (uint32_t i = 0; i < count; i++) {
        ticket->events[i] = feed_event(tenant, "t", "\"m\"");
    }
    feed_call(&f, ticket->worker, post, ticket);
    CU_ASSERT_EQUAL_FATAL(ticket->err, 0);
}

static void wait_for(struct ticket *ticket) {
    for (unsigned i = 0; i < 60000 && !atomic_load(&ticket->answered); i++) {
        usleep(500);
    }
    CU_ASSERT_FATAL(atomic_load(&ticket->answered));
}

static struct ticket ticket;

/* Stored now: its first seq. Otherwise 0. */
static uint64_t fresh(struct car_tenant *tenant, unsigned key, unsigned body, uint32_t count) {
    begin(&ticket, tenant, key, body, count);
    wait_for(&ticket);
    CU_ASSERT(ticket.status || ticket.last == ticket.first + count - 1);
    return ticket.status || ticket.replayed ? 0 : ticket.first;
}

/* Stored before: its first seq. Otherwise 0. */
static uint64_t again(struct car_tenant *tenant, unsigned key, unsigned body, uint32_t count) {
    begin(&ticket, tenant, key, body, count);
    wait_for(&ticket);
    CU_ASSERT(ticket.status || ticket.last == ticket.first + count - 1);
    return ticket.status || !ticket.replayed ? 0 : ticket.first;
}

static int status_of(struct car_tenant *tenant, unsigned key, unsigned body, uint32_t count) {
    begin(&ticket, tenant, key, body, count);
    wait_for(&ticket);
    return ticket.status;
}

static void test_once(void) {
    for (enum store store = MEMORY; store < STORES; store++) {
        struct car_tenant *a = open_new(store);
        struct car_tenant *b = feed_tenant(&f, "b");
        char json[sizeof ticket.json];
        CU_ASSERT_EQUAL(fresh(a, 1, 1, 1), 1);
        memcpy(json, ticket.json, sizeof json);
        CU_ASSERT_EQUAL(again(a, 1, 1, 1), 1);
        CU_ASSERT_STRING_EQUAL(ticket.json, json);
        CU_ASSERT_EQUAL(status_of(a, 1, 2, 1), CAR_EEXIST);
        CU_ASSERT_EQUAL(status_of(a, 1, 1, 2), CAR_EEXIST);
        CU_ASSERT_EQUAL(fresh(a, 0, 1, 1), 2);
        CU_ASSERT_EQUAL(fresh(a, 0, 1, 1), 3);
        CU_ASSERT_EQUAL(fresh(b, 1, 7, 1), 1); /* another tenant's key is another */
        CU_ASSERT_EQUAL(fresh(b, 0, 7, 1), 2);
        CU_ASSERT_EQUAL(fresh(a, 2, 2, EVENTS), 4); /* more than memory keeps */
        CU_ASSERT_EQUAL(again(a, 2, 2, EVENTS), 4);
        CU_ASSERT_EQUAL(fresh(a, 0, 1, 1), 4 + EVENTS);
        CU_ASSERT_EQUAL(again(a, 2, 2, EVENTS), 4);
        CU_ASSERT_EQUAL(again(a, 1, 1, 1), 1); /* the history has let go of it */
        CU_ASSERT_STRING_EQUAL(ticket.json, json);
        CU_ASSERT_EQUAL(again(b, 1, 7, 1), 1);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 4 + EVENTS);
        CU_ASSERT_EQUAL(car_tenant_newest(b), 2);
        feed_close(&f);
    }
}

static void drain(struct car_worker *worker, void *arg) {
    f.feed.log->ops->ready(f.feed.log, arg, worker);
}

/* Those that meet in one drain: the first of a key is stored, and the others wait for it. */
static void test_met(void) {
    static const struct {
        unsigned key, body;
        uint32_t count;
        int status;
        bool replayed;
        uint64_t first;
    } ITEMS[] = {
        {1, 1, 1, 0, false, 2},          {1, 1, 1, 0, true, 2},  {0, 1, 1, 0, false, 3}, {2, 1, 3, 0, false, 4},
        {1, 2, 1, CAR_EEXIST, false, 0}, {9, 9, 1, 0, true, 1},  {2, 1, 3, 0, true, 4},  {1, 1, 1, 0, true, 2},
        {9, 8, 1, CAR_EEXIST, false, 0}, {3, 1, 1, 0, false, 7}, {2, 1, 3, 0, true, 4},  {9, 9, 1, 0, true, 1},
    };
    enum { COUNT = sizeof ITEMS / sizeof *ITEMS };
    static struct ticket tickets[COUNT];
    for (enum store store = MEMORY; store < STORES; store++) {
        struct car_tenant *a = open_new(store);
        CU_ASSERT_EQUAL(fresh(a, 9, 9, 1), 1);
        while (!car_drain_claim(a)) { /* the log's thread lets go of it a moment after its answer */
            usleep(100);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            begin(&tickets[i], a, ITEMS[i].key, ITEMS[i].body, ITEMS[i].count);
        }
        CU_ASSERT_FALSE(atomic_load(&tickets[0].answered));
        feed_call(&f, 0, drain, a);
        for (unsigned i = 0; i < COUNT; i++) {
            wait_for(&tickets[i]);
            CU_ASSERT_EQUAL(tickets[i].status, ITEMS[i].status);
            CU_ASSERT_EQUAL(tickets[i].replayed, ITEMS[i].replayed);
            CU_ASSERT_EQUAL(tickets[i].first, ITEMS[i].first);
        }
        CU_ASSERT_EQUAL(car_tenant_newest(a), 7);
        feed_close(&f);
    }
}

/* Of the database that is open, or was; PostgreSQL's tables are in a schema that SQLite does not have. */
static void run_sql(enum store store, const char *sql) {
    if (store >= POSTGRES) {
        char line[400];
        snprintf(line, sizeof line, "SET search_path = carillon; %s", sql);
        postgres_run(uri, line);
        return;
    }
    sqlite3 *db;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t ask_sql(enum store store, const char *sql) {
    if (store >= POSTGRES) {
        char line[400];
        snprintf(line, sizeof line, "SET search_path = carillon; %s", sql);
        return postgres_number(uri, line);
    }
    sqlite3 *db;
    sqlite3_stmt *statement;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

/* Waits until so many events are committed: under relaxed that is later than they are answered. */
static void commits(enum store store, int64_t events) {
    for (unsigned i = 0; i < 10000 && ask_sql(store, "SELECT count(*) FROM events") < events; i++) {
        usleep(2000);
    }
    CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM events"), events);
}

static struct car_tenant *reopen(enum store store) {
    feed_close(&f);
    open_store(store);
    return feed_tenant_find(&f, "a");
}

static void test_restart(void) {
    for (enum store store = SQLITE; store < STORES; store++) {
        struct car_tenant *a = open_new(store);
        char json[sizeof ticket.json];
        CU_ASSERT_EQUAL(fresh(a, 1, 1, 1), 1);
        memcpy(json, ticket.json, sizeof json);
        CU_ASSERT_EQUAL(fresh(a, 2, 1, EVENTS), 2);
        a = reopen(store);
        CU_ASSERT_EQUAL(again(a, 1, 1, 1), 1);
        CU_ASSERT_STRING_EQUAL(ticket.json, json);
        CU_ASSERT_EQUAL(again(a, 2, 1, EVENTS), 2);
        CU_ASSERT_EQUAL(status_of(a, 2, 2, EVENTS), CAR_EEXIST);
        CU_ASSERT_EQUAL(fresh(a, 3, 1, 1), 2 + EVENTS);
        CU_ASSERT_EQUAL(status_of(feed_tenant(&f, "new"), 1, 1, 1), 0);
        CU_ASSERT_FALSE(ticket.replayed);
        feed_close(&f);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM idempotency"), 4);
    }
}

/* After a day, or once its events are gone, a key is as good as new. */
static void test_over(void) {
    for (enum store store = SQLITE; store < STORES; store++) {
        char sql[200];
        struct car_tenant *a = open_new(store);
        CU_ASSERT_EQUAL(fresh(a, 1, 1, 1), 1);
        CU_ASSERT_EQUAL(fresh(a, 2, 1, 2), 2);
        feed_close(&f);
        snprintf(sql, sizeof sql, "UPDATE idempotency SET at_ms = at_ms - %lld WHERE first = 1",
                 (long long)CAR_REPEAT_MS - 60000);
        run_sql(store, sql);
        open_store(store);
        a = feed_tenant_find(&f, "a");
        CU_ASSERT_EQUAL(again(a, 1, 1, 1), 1); /* a minute is left */
        feed_close(&f);
        run_sql(store, "UPDATE idempotency SET at_ms = at_ms - 60000 WHERE first = 1");
        open_store(store);
        a = feed_tenant_find(&f, "a");
        CU_ASSERT_EQUAL(fresh(a, 1, 7, 1), 4);
        CU_ASSERT_EQUAL(again(a, 1, 7, 1), 4);
        CU_ASSERT_EQUAL(again(a, 2, 1, 2), 2);
        feed_close(&f);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM idempotency"), 2);
        run_sql(store, "UPDATE tenants SET forgotten = 2"); /* the first of the two */
        open_store(store);
        a = feed_tenant_find(&f, "a");
        CU_ASSERT_EQUAL(fresh(a, 2, 9, 1), 5);
        CU_ASSERT_EQUAL(again(a, 1, 7, 1), 4);
        feed_close(&f);
        /* Rows that have gone, whoever has taken them. */
        run_sql(store, "DELETE FROM events WHERE seq = 4");
        open_store(store);
        a = feed_tenant_find(&f, "a");
        CU_ASSERT_EQUAL(fresh(a, 1, 7, 1), 6);
        CU_ASSERT_EQUAL(again(a, 1, 7, 1), 6);
        feed_close(&f);
    }
}

#define OLD_KEYS(digest)                                                                                               \
    "WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 400)"                                   \
    "INSERT INTO idempotency SELECT (SELECT n FROM tenants), " digest ", " digest ", 1, 1, n FROM i"

/* Old keys go in small steps, with transactions that store keys; those of today stay. */
static void test_swept(void) {
    for (enum store store = SQLITE; store < STORES; store++) {
        struct car_tenant *a = open_new(store);
        CU_ASSERT_EQUAL(fresh(a, 1, 1, 1), 1);
        feed_close(&f);
        run_sql(store,
                store < POSTGRES ? OLD_KEYS("randomblob(32)") : OLD_KEYS("decode(repeat(md5(i.n::text), 2), 'hex')"));
        open_store(store);
        a = feed_tenant_find(&f, "a");
        int64_t before = ask_sql(store, "SELECT count(*) FROM idempotency");
        CU_ASSERT_EQUAL(before, 401);
        for (unsigned key = 2; key < 12; key++) {
            CU_ASSERT_EQUAL(fresh(a, key, 1, 1), key);
            if (!is_relaxed(store)) {
                int64_t now = ask_sql(store, "SELECT count(*) FROM idempotency WHERE at_ms < 1000");
                CU_ASSERT(now <= before && before - now <= 67);
                before = now;
            }
        }
        feed_close(&f);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM idempotency WHERE at_ms < 1000"), 0);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM idempotency"), 11);
    }
}

/* Only repeats: nothing is stored, the log goes on, and holds no lock while it waits. */
static void test_only_repeats(void) {
    for (enum store store = SQLITE; store < STORES; store++) {
        struct car_tenant *a = open_new(store);
        CU_ASSERT_EQUAL(fresh(a, 1, 1, 2), 1);
        commits(store, 2);
        for (unsigned i = 0; i < 10; i++) {
            CU_ASSERT_EQUAL(again(a, 1, 1, 2), 1);
        }
        if (store < POSTGRES) {
            sqlite3 *other;
            CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &other), SQLITE_OK);
            sqlite3_busy_timeout(other, 1000);
            CU_ASSERT_EQUAL(sqlite3_exec(other, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
            sqlite3_close(other);
        } else {
            CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM pg_stat_activity"
                                           " WHERE datname = current_database() AND state LIKE 'idle in%'"),
                            0);
        }
        CU_ASSERT_EQUAL(fresh(a, 2, 1, 2), 3);
        feed_close(&f);
    }
}

/* What an open transaction has inserted counts, and it is one afterwards as before. */
static void test_open_transaction(void) {
    static struct ticket tickets[60];
    for (enum store store = SQLITE; store < STORES; store++) {
        struct car_tenant *a = open_new(store);
        for (unsigned i = 0; i < 60; i++) {
            CU_ASSERT_EQUAL(fresh(a, 0, 1, 1), 3 * i + 1);
            CU_ASSERT_EQUAL(fresh(a, i + 1, 1, 2), 3 * i + 2);
            CU_ASSERT_EQUAL(again(a, i + 1, 1, 2), 3 * i + 2);
            CU_ASSERT_EQUAL(status_of(a, i + 1, 2, 2), CAR_EEXIST);
        }
        for (unsigned i = 0; i < 60; i++) {
            begin(&tickets[i], a, i + 1, 1, 2);
        }
        for (unsigned i = 0; i < 60; i++) {
            wait_for(&tickets[i]);
            CU_ASSERT(tickets[i].replayed && tickets[i].first == 3 * i + 2);
        }
        feed_close(&f);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM events"), 180);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT sum(count) FROM idempotency"), 120);
    }
}

/* PostgreSQL ends the connections in the middle of it: who repeats what was refused has it once. */
static void test_ended_connections(void) {
    for (enum store store = POSTGRES; store < STORES; store++) {
        struct car_tenant *a = open_new(store);
        for (unsigned key = 1; key <= 60; key++) {
            if (key % 10 == 0) {
                postgres_run(uri, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                  " WHERE datname = current_database() AND pid <> pg_backend_pid()");
            }
            for (unsigned i = 0; i < 2000 && status_of(a, key, 1, 2) != 0; i++) {
                usleep(5000);
            }
            CU_ASSERT_EQUAL(ticket.first, 2 * key - 1);
            CU_ASSERT_EQUAL(status_of(a, key, 2, 2), CAR_EEXIST);
        }
        feed_close(&f);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM events"), 120);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM idempotency WHERE count = 2 AND first % 2 = 1"), 60);
    }
}

static rlim_t limit_files(rlim_t soft) {
    struct rlimit limit;
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t was = limit.rlim_cur;
    limit.rlim_cur = soft;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    return was;
}

/* A store that refuses: who was refused has left no key, and what was promised keeps its own. */
static void test_refused(void) {
    for (enum store store = SQLITE; store < POSTGRES; store++) {
        struct car_tenant *a = open_new(store);
        CU_ASSERT_EQUAL(fresh(a, 1, 1, 1), 1);
        commits(store, 1);
        rlim_t soft = limit_files(4096);
        /* Under relaxed this is promised before the commit fails. */
        uint64_t promised = fresh(a, 2, 1, 1);
        CU_ASSERT_EQUAL(promised, is_relaxed(store) ? 2 : 0);
        for (unsigned i = 0; i < 20000 && !atomic_load(&f.feed.log->failing); i++) {
            usleep(1000);
        }
        CU_ASSERT_FATAL(atomic_load(&f.feed.log->failing));
        CU_ASSERT_EQUAL(status_of(a, 3, 1, 2), CAR_ESYS);
        if (!is_relaxed(store)) {
            CU_ASSERT_EQUAL(again(a, 1, 1, 1), 1); /* for that nothing has to be written */
            CU_ASSERT(atomic_load(&f.feed.log->failing));
        }
        (void)limit_files(soft);
        if (promised) {
            CU_ASSERT_EQUAL(again(a, 2, 1, 1), 2);
        } else {
            CU_ASSERT_EQUAL(fresh(a, 2, 1, 1), 2);
        }
        CU_ASSERT_EQUAL(fresh(a, 3, 1, 2), 3);
        a = reopen(store);
        CU_ASSERT_EQUAL(again(a, 1, 1, 1), 1);
        CU_ASSERT_EQUAL(again(a, 2, 1, 1), 2);
        CU_ASSERT_EQUAL(again(a, 3, 1, 2), 3);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 4);
        feed_close(&f);
        CU_ASSERT_EQUAL(ask_sql(store, "SELECT count(*) FROM events"), 4);
    }
}

/* Refused together: the first of a key and those that wait for it. */
static void test_met_and_refused(void) {
    static struct ticket tickets[4];
    struct car_tenant *a = open_new(SQLITE);
    CU_ASSERT_EQUAL(fresh(a, 9, 9, 1), 1);
    while (!car_drain_claim(a)) {
        usleep(100);
    }
    rlim_t soft = limit_files(4096);
    for (unsigned i = 0; i < 4; i++) {
        begin(&tickets[i], a, i == 3 ? 9 : 1, i == 2 ? 2 : i == 3 ? 9 : 1, 1);
    }
    feed_call(&f, 0, drain, a);
    for (unsigned i = 0; i < 4; i++) {
        wait_for(&tickets[i]);
        CU_ASSERT_EQUAL(tickets[i].status, i == 3 ? 0 : CAR_ESYS);
    }
    CU_ASSERT(tickets[3].replayed && tickets[3].first == 1);
    (void)limit_files(soft);
    CU_ASSERT_EQUAL(fresh(a, 1, 2, 1), 2);
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"once", test_once},
    {"met in one drain", test_met},
    {"only repeats", test_only_repeats},
    {"restart", test_restart},
    {"over", test_over},
    {"open transaction", test_open_transaction},
    {"ended connections", test_ended_connections},
    {"swept", test_swept},
    {"refused", test_refused},
    {"met and refused", test_met_and_refused},
};

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    if (!mkdtemp(folder)) {
        return 1;
    }
    int code = car_suite_main("idempotency", TESTS, sizeof TESTS / sizeof *TESTS);
    while (files > 0) {
        snprintf(path, sizeof path, "%s/%u.db", folder, --files);
        (void)unlink(path);
        feed_unlink_search(path);
    }
    (void)rmdir(folder);
    return code;
}
