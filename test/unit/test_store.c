#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/sqlite.h"
#include "feed/tenant_state.h"
#include "support/feed_fixture.h"
#include "support/postgres.h"

#include "suite.h"

/* What every log keeps to, and what one in a database keeps over a restart. */

enum { WORKERS = 2, KEEP = 50 };

static const char *const STORES[] = {"memory", "commit", "relaxed", "postgres", "postgres relaxed"};
enum { SQLITE_STORES = 3 }; /* up to here */

static struct feed_fixture f;
static char folder[] = "/tmp/carillon-store-XXXXXX";
static char path[64];
static char uri[200]; /* of a database that goes with the path; empty where there is none yet */
static unsigned files;

/* A database that nobody has used. */
static void new_path(void) {
    snprintf(path, sizeof path, "%s/%u.db", folder, files++);
    uri[0] = '\0';
}

static void open_store(const char *store) {
    if (strcmp(store, "memory") == 0) {
        feed_open(&f, WORKERS, KEEP);
    } else if (strncmp(store, "postgres", 8) == 0) {
        if (!uri[0]) {
            postgres_new(uri, sizeof uri);
        }
        feed_open_postgres(&f, WORKERS, KEEP, uri, strcmp(store, "postgres relaxed") == 0);
    } else {
        feed_open_sqlite(&f, WORKERS, KEEP, path, strcmp(store, "relaxed") == 0);
    }
    feed_start(&f);
}

static void publish(unsigned worker, struct car_tenant *tenant, unsigned count, size_t len) {
    feed_publish_from(&f, worker, tenant, count, len);
}

/* Asking. */

struct asked {
    union {
        struct car_log_ask ask;
        struct car_log_page page;
        struct car_log_types types;
    };
    atomic_bool done;
    bool astray;
};

static void on_answer(struct car_log_ask *ask) {
    struct asked *asked = (struct asked *)ask; /* its first member */
    asked->astray = car_worker_self() != ask->worker;
    atomic_store(&asked->done, true);
}

static void put_question(struct car_worker *worker, void *arg) {
    struct asked *asked = arg;
    asked->ask.worker = worker;
    asked->ask.done = on_answer;
    f.feed.log->ops->ask(f.feed.log, &asked->ask);
}

static void wait_for_answer(struct asked *asked) {
    static unsigned turn;
    atomic_store(&asked->done, false);
    feed_call(&f, turn++ % WORKERS, put_question, asked);
    while (!atomic_load(&asked->done)) {
        usleep(500);
    }
    CU_ASSERT_FALSE(asked->astray);
}

/* Asks from a worker, and waits. */
static void ask(struct asked *asked) {
    wait_for_answer(asked);
    CU_ASSERT_EQUAL_FATAL(asked->ask.status, 0);
}

/* A page, asked for until it has come to the store. */
static void ask_page(struct asked *asked, struct car_tenant *tenant, uint64_t first, uint64_t last) {
    asked->page = (struct car_log_page){.ask = {.kind = CAR_LOG_PAGE, .tenant = tenant},
                                        .first = first,
                                        .last = last,
                                        .descending = asked->page.descending,
                                        .max_events = asked->page.max_events,
                                        .max_bytes = asked->page.max_bytes,
                                        .filter = asked->page.filter};
    for (unsigned i = 0; i < 2000; i++) {
        ask(asked);
        if (asked->page.seen) {
            break;
        }
        usleep(1000);
    }
}

static void let_go(struct asked *asked) {
    while (asked->page.count) {
        car_event_unref(&asked->page.events[--asked->page.count]);
    }
}

/* The JSON of all that the log has of a tenant, a line each. */
static void dump(struct car_tenant *tenant, struct car_buf *out) {
    struct asked asked = {.page = {.max_events = 7, .max_bytes = 1 << 20}};
    uint64_t newest = car_tenant_newest(tenant);
    for (uint64_t seq = 1; seq <= newest; seq += asked.page.seen) {
        ask_page(&asked, tenant, seq, newest);
        CU_ASSERT_EQUAL_FATAL(asked.page.seen, asked.page.count);
        for (unsigned i = 0; i < asked.page.count; i++) {
            CU_ASSERT_EQUAL(asked.page.events[i]->seq, seq + i);
            car_buf_span(out, car_event_json(asked.page.events[i]));
            car_buf_char(out, '\n');
        }
        let_go(&asked);
    }
}

static void test_numbers(void) {
    for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++) {
        new_path();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        struct car_tenant *b = feed_tenant(&f, "b");
        for (unsigned n = 0; n < 20; n++) {
            publish(n % 2, a, 10, 5);
            publish(1, b, 3, 5);
        }
        feed_wait_answers(&f, 260);
        CU_ASSERT_EQUAL(atomic_load(&f.answered), 260);
        CU_ASSERT_EQUAL(atomic_load(&f.astray), 0);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 200);
        CU_ASSERT_EQUAL(car_tenant_newest(b), 60);
        CU_ASSERT_EQUAL(car_tenant_oldest(a, KEEP), 151);
        CU_ASSERT_EQUAL(strlen(f.feed.epoch), CAR_EPOCH_LEN);
        feed_close(&f);
    }
}

/* The same log again: its name, its tenants, the text of its newest events, and the next seq. */
static void test_restart(void) {
    for (size_t i = 1; i < sizeof STORES / sizeof *STORES; i++) {
        struct car_buf before = CAR_BUF_INIT;
        struct car_buf after = CAR_BUF_INIT;
        char epoch[CAR_EPOCH_LEN + 1];
        new_path();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        publish(0, a, 70, 1000);
        publish(1, feed_tenant(&f, "b.c-d_E"), 1, 1);
        (void)feed_tenant(&f, "quiet");
        feed_wait_answers(&f, 71);
        dump(a, &before);
        memcpy(epoch, f.feed.epoch, sizeof epoch);
        int64_t created = car_tenant_created_ms(a);
        feed_close(&f);

        open_store(STORES[i]);
        CU_ASSERT_STRING_EQUAL(f.feed.epoch, epoch);
        a = feed_tenant_find(&f, "a");
        CU_ASSERT_PTR_NOT_NULL_FATAL(a);
        CU_ASSERT_PTR_NULL(feed_tenant_find(&f, "quiet")); /* it has no events */
        CU_ASSERT_EQUAL(car_tenant_created_ms(a), created);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 70);
        CU_ASSERT_EQUAL(car_tenant_newest(feed_tenant_find(&f, "b.c-d_E")), 1);
        dump(a, &after);
        CU_ASSERT(before.len > 50000 && car_span_eq(car_buf_view(&before), car_buf_view(&after)));
        publish(1, a, 1, 5);
        feed_wait_answers(&f, 1);
        CU_ASSERT_EQUAL(car_tenant_newest(a), 71);
        feed_close(&f);
        car_buf_free(&before);
        car_buf_free(&after);
    }
}

/* A file that may not grow: whoever publishes is refused, nobody sees a seq that is not stored, and it goes on when
 * there is room again. Under `relaxed` what was answered before that was known is stored then, and nothing more is
 * answered meanwhile. */
static void test_full(void) {
    for (size_t i = 1; i < SQLITE_STORES; i++) {
        struct rlimit limit;
        new_path();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        publish(0, a, 1, 5);
        feed_wait_answers(&f, 1);
        CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
        rlim_t soft = limit.rlim_cur;
        limit.rlim_cur = 4096;
        CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
        publish(0, a, 20, 4000);
        feed_wait_answers(&f, 21);
        while (!atomic_load(&f.feed.log->failing)) {
            usleep(1000);
        }
        unsigned long failed = atomic_load(&f.failed);
        publish(1, a, 5, 4000);
        feed_wait_answers(&f, 26);
        CU_ASSERT_EQUAL(atomic_load(&f.failed), failed + 5);
        CU_ASSERT(atomic_load(&f.feed.log->failing));
        unsigned long stored = atomic_load(&f.answered);
        CU_ASSERT(i == 2 || stored == 1);
        CU_ASSERT_EQUAL(car_tenant_newest(a), stored);
        limit.rlim_cur = soft;
        CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
        publish(1, a, 3, 5);
        feed_wait_answers(&f, 29);
        CU_ASSERT_EQUAL(atomic_load(&f.answered), stored + 3);
        feed_close(&f);
        open_store(STORES[i]);
        CU_ASSERT_EQUAL(car_tenant_newest(feed_tenant_find(&f, "a")), stored + 3);
        feed_close(&f);
    }
}

/* Reading what memory has let go of. */

/* Asks for a page and checks that it is the tenant's events, one after the other. How many; *seen how many were looked
 * at. */
static unsigned page_of(struct car_tenant *tenant, uint64_t first, uint64_t last, size_t max_bytes, bool descending) {
    struct asked asked = {.page = {.max_events = 50, .max_bytes = max_bytes, .descending = descending}};
    ask_page(&asked, tenant, first, last);
    unsigned count = asked.page.count;
    CU_ASSERT_EQUAL(asked.page.seen, count);
    for (unsigned i = 0; i < count; i++) {
        struct car_event *event = asked.page.events[i];
        CU_ASSERT_EQUAL(event->seq, descending ? last - i : first + i);
        CU_ASSERT_PTR_EQUAL(event->tenant, tenant);
        CU_ASSERT_EQUAL(atomic_load(&event->refs), 1);
    }
    let_go(&asked);
    return count;
}

static void test_pages(void) {
    for (size_t i = 1; i < sizeof STORES / sizeof *STORES; i++) {
        new_path();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        struct car_tenant *b = feed_tenant(&f, "b");
        struct asked none = {
            .page = {.ask = {.kind = CAR_LOG_PAGE, .tenant = a}, .first = 1, .last = 9, .max_events = 9}};
        ask(&none);
        CU_ASSERT_EQUAL(none.page.count, 0);
        CU_ASSERT_EQUAL(none.page.seen, 0);
        for (unsigned n = 0; n < 30; n++) {
            publish(0, a, 10, 1000);
            publish(1, b, 1, 5);
        }
        feed_wait_answers(&f, 330);
        CU_ASSERT_EQUAL(car_history_oldest(&a->history), 251);
        for (unsigned down = 0; down < 2; down++) {
            CU_ASSERT_EQUAL(page_of(a, 1, 300, 1 << 20, down), 50);
            CU_ASSERT_EQUAL(page_of(a, 101, 110, 1 << 20, down), 10);
            CU_ASSERT_EQUAL(page_of(a, 300, 300, 1 << 20, down), 1);
            CU_ASSERT_EQUAL(page_of(a, 1, 300, 3000, down), 3);
            CU_ASSERT_EQUAL(page_of(a, 1, 300, 0, down), 1);
            CU_ASSERT_EQUAL(page_of(b, 1, 30, 1 << 20, down), 30);
        }
        struct car_event *kept = NULL;
        struct asked last = {.page = {.max_events = 1}};
        CU_ASSERT_EQUAL(car_tenant_read(a, f.reader, 300, &kept, 1), 1);
        ask_page(&last, a, 300, 300);
        CU_ASSERT(car_span_eq(car_event_json(last.page.events[0]), car_event_json(kept)));
        let_go(&last);
        car_event_unref(&kept);
        feed_close(&f);
    }
}

static void publish_typed(struct car_worker *worker, void *arg) {
    (void)worker;
    (void)arg;
    for (unsigned i = 0; i < 300; i++) {
        char message[64];
        char type[8];
        snprintf(message, sizeof message, "\"word%u and some%u\"", i, i % 10);
        snprintf(type, sizeof type, "t%u", i % 30);
        feed_publish_event(&f, 0, feed_event(feed_tenant_find(&f, "a"), type, message));
    }
}

/* How many events pass, counted page by page. */
static unsigned count_passing(struct car_tenant *tenant, const struct car_filter *filter, bool descending) {
    struct asked asked = {.page = {.max_events = 4, .max_bytes = 1 << 20, .descending = descending, .filter = filter}};
    uint64_t first = 1;
    uint64_t last = car_tenant_newest(tenant);
    unsigned count = 0;
    while (first <= last) {
        ask_page(&asked, tenant, first, last);
        CU_ASSERT_FATAL(asked.page.seen > 0 && asked.page.seen <= last - first + 1);
        for (unsigned i = 1; i < asked.page.count; i++) {
            CU_ASSERT_EQUAL(asked.page.events[i - 1]->seq < asked.page.events[i]->seq, !descending);
        }
        count += asked.page.count;
        let_go(&asked);
        *(descending ? &last : &first) += descending ? -asked.page.seen : asked.page.seen;
    }
    return count;
}

static void test_filters(void) {
    for (size_t i = 1; i < sizeof STORES / sizeof *STORES; i++) {
        struct car_filter filter = {0};
        new_path();
        open_store(STORES[i]);
        struct car_tenant *a = feed_tenant(&f, "a");
        feed_call(&f, 0, publish_typed, NULL);
        publish(0, feed_tenant(&f, "b"), 40, 9);
        feed_wait_answers(&f, 340);
        for (unsigned down = 0; down < 2; down++) {
            car_buf_put(&filter.words, "some3", 6);
            CU_ASSERT_EQUAL(count_passing(a, &filter, down), 30);
            car_buf_put(&filter.types, "t3\0t13", 7);
            CU_ASSERT_EQUAL(count_passing(a, &filter, down), 20);
            filter.words.len = 0;
            CU_ASSERT_EQUAL(count_passing(a, &filter, down), 20);
            filter.types.len = 0;
            car_buf_put(&filter.words, "word29*", 8);
            CU_ASSERT_EQUAL(count_passing(a, &filter, down), 11);
            filter.words.len = 0;
            car_buf_put(&filter.words, "nowhere", 8);
            CU_ASSERT_EQUAL(count_passing(a, &filter, down), 0);
            filter.words.len = 0;
            filter.has_to = true;
            filter.to_ms = 1;
            CU_ASSERT_EQUAL(count_passing(a, &filter, down), 0);
            filter.to_ms = INT64_MAX;
            CU_ASSERT_EQUAL(count_passing(a, &filter, down), 300);
            filter.has_to = false;
        }
        car_filter_free(&filter);
        feed_close(&f);
    }
}

/* The counts by type are those of the events, over a restart, too. */
static void test_types(void) {
    for (size_t i = 1; i < sizeof STORES / sizeof *STORES; i++) {
        static struct asked asked;
        new_path();
        open_store(STORES[i]);
        (void)feed_tenant(&f, "a");
        feed_call(&f, 0, publish_typed, NULL);
        publish(0, feed_tenant(&f, "b"), 3, 9);
        feed_wait_answers(&f, 303);
        feed_close(&f);
        open_store(STORES[i]);
        asked.types = (struct car_log_types){.ask = {.kind = CAR_LOG_TYPES, .tenant = feed_tenant_find(&f, "a")}};
        ask(&asked);
        CU_ASSERT_EQUAL(asked.types.count, 30);
        for (unsigned t = 0; t < asked.types.count; t++) {
            CU_ASSERT_EQUAL(asked.types.types[t].count, 10);
        }
        CU_ASSERT_STRING_EQUAL(asked.types.types[0].type, "t0");
        asked.types = (struct car_log_types){.ask = {.kind = CAR_LOG_TYPES, .tenant = feed_tenant_find(&f, "b")}};
        ask(&asked);
        CU_ASSERT_EQUAL(asked.types.count, 1);
        CU_ASSERT_EQUAL(asked.types.types[0].count, 3);
        CU_ASSERT_STRING_EQUAL(asked.types.types[0].type, "message");
        feed_close(&f);
    }
}

/* Opening. */

/* Tries to open; asserts that it is refused with these words. */
static void refused(const char *words) {
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_reader *reader = car_reader_open(reclaim);
    struct car_feed feed = {.registry = car_registry_new(2), .keep = KEEP};
    const struct car_sqlite_config config = {.path = path};
    struct car_log *log = NULL;
    char why[400] = "";
    CU_ASSERT_NOT_EQUAL(car_log_sqlite(&feed, reclaim, reader, &config, &log, why, sizeof why), 0);
    CU_ASSERT_PTR_NULL(log);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, words));
    CU_ASSERT_EQUAL(strncmp(why, path, strlen(path)), 0);
    CU_ASSERT_PTR_NULL(strchr(why, '\n'));
    if (!strstr(why, words)) {
        fprintf(stderr, "  \"%s\" does not say \"%s\"\n", why, words);
    }
    car_reader_close(&reader);
    car_registry_free(&feed.registry);
    car_reclaim_free(&reclaim);
}

static void change(const char *sql) {
    sqlite3 *db;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}

static void read_file(struct car_buf *out) {
    char bytes[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        car_buf_put(out, bytes, (size_t)n);
    }
    close(fd);
}

/* Such a file is as it was. */
static void refused_untouched(const char *words) {
    struct car_buf before = CAR_BUF_INIT;
    struct car_buf after = CAR_BUF_INIT;
    read_file(&before);
    refused(words);
    read_file(&after);
    CU_ASSERT(car_span_eq(car_buf_view(&before), car_buf_view(&after)));
    car_buf_free(&before);
    car_buf_free(&after);
}

static void make_log(void) {
    new_path();
    open_store("commit");
    publish(0, feed_tenant(&f, "a"), 10, 5);
    publish(0, feed_tenant(&f, "b"), 10, 5);
    feed_wait_answers(&f, 20);
    feed_close(&f);
}

static void test_in_use(void) {
    new_path();
    open_store("commit");
    refused("in use by another server");
    feed_close(&f);
    open_store("commit");
    feed_close(&f);
}

static void test_foreign(void) {
    new_path();
    change("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    refused_untouched("another program's");
    new_path();
    FILE *file = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("dear diary\n", file);
    fclose(file);
    refused_untouched("not an SQLite database");
    make_log();
    change("PRAGMA user_version = 99");
    refused_untouched("newer version");
    new_path();
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    refused("directory");
    snprintf(path, sizeof path, "%s/nowhere/x.db", folder);
    refused("No such file");
}

static void test_damaged(void) {
    static const char *const DAMAGE[] = {
        "INSERT INTO tenants (id, created_ms, newest) VALUES ('no tenant', 0, 0)",
        "DELETE FROM log",
        "UPDATE log SET id_key = x'00'",
    };
    for (size_t i = 0; i < sizeof DAMAGE / sizeof *DAMAGE; i++) {
        make_log();
        change(DAMAGE[i]);
        refused("is damaged");
    }
    make_log();
    change("DROP TABLE events");
    refused("no such table");
    make_log();
    CU_ASSERT_EQUAL(truncate(path, 4096 * 3), 0);
    refused("malformed");
}

/* Of what is not read at the start, whoever asks for it is told. The rest can be read. */
static void test_damaged_events(void) {
    static const char *const DAMAGE[] = {
        "DELETE FROM events WHERE seq = 5",
        "DELETE FROM events WHERE seq = 10",
        "UPDATE events SET id = x'00' WHERE seq = 5",
        "UPDATE events SET type = 'no type' WHERE seq = 5",
    };
    for (size_t i = 0; i < sizeof DAMAGE / sizeof *DAMAGE; i++) {
        make_log();
        change(DAMAGE[i]);
        open_store("commit");
        struct asked asked = {.page = {.ask = {.kind = CAR_LOG_PAGE, .tenant = feed_tenant_find(&f, "a")},
                                       .first = 1,
                                       .last = 10,
                                       .max_events = 50,
                                       .max_bytes = 1 << 20}};
        for (unsigned down = 0; down < 2; down++) {
            asked.page.descending = down;
            wait_for_answer(&asked);
            CU_ASSERT_EQUAL(asked.ask.status, CAR_EINVAL);
            CU_ASSERT_EQUAL(asked.page.count, 0);
        }
        CU_ASSERT_EQUAL(page_of(asked.ask.tenant, 1, 4, 1 << 20, false), 4);
        CU_ASSERT_EQUAL(page_of(asked.ask.tenant, 6, 9, 1 << 20, true), 4);
        feed_close(&f);
    }
}

static void test_too_many_tenants(void) {
    make_log();
    change("INSERT INTO tenants (id, created_ms, newest) VALUES ('c', 0, 0)");
    refused("--max-tenants");
}

/* A log that was made anew has another name. */
static void test_made_anew(void) {
    char epoch[CAR_EPOCH_LEN + 1];
    new_path();
    open_store("commit");
    memcpy(epoch, f.feed.epoch, sizeof epoch);
    feed_close(&f);
    CU_ASSERT_EQUAL(unlink(path), 0);
    open_store("commit");
    CU_ASSERT_STRING_NOT_EQUAL(f.feed.epoch, epoch);
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"every log numbers and answers", test_numbers},
    {"restart", test_restart},
    {"full", test_full},
    {"pages", test_pages},
    {"filters", test_filters},
    {"types", test_types},
    {"in use", test_in_use},
    {"foreign files", test_foreign},
    {"damaged", test_damaged},
    {"damaged events", test_damaged_events},
    {"too many tenants", test_too_many_tenants},
    {"made anew", test_made_anew},
};

static void clean_up(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
}

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    if (!mkdtemp(folder)) {
        return EXIT_FAILURE;
    }
    int status = car_suite_main("store", TESTS, sizeof TESTS / sizeof *TESTS);
    clean_up();
    return status;
}
