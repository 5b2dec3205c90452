#include <stdlib.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/feed/words.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/postgres.h"
#include "support/feed_fixture.h"
#include "support/postgres.h"

#include "suite.h"

/* What is PostgreSQL's own: its schema, and its index of words. What every log keeps to is test_store.c's. */

enum { WORKERS = 2, KEEP = 1000 };

static struct feed_fixture f;
static char uri[200];

static void open_store(void) {
    feed_open_postgres(&f, WORKERS, KEEP, uri, false);
    feed_start(&f);
}

/* Asking. */

struct asked {
    struct car_log_page page; /* first */
    atomic_bool done;
};

static void on_answer(struct car_log_ask *ask) {
    atomic_store(&((struct asked *)ask)->done, true);
}

static void put_question(struct car_worker *worker, void *arg) {
    struct asked *asked = arg;
    asked->page.ask.worker = worker;
    f.feed.log->ops->ask(f.feed.log, &asked->page.ask);
}

/* Asks for a page, and waits; the status. */
static int ask(struct asked *asked, struct car_tenant *tenant, uint64_t first, uint64_t last,
               const struct car_filter *filter) {
    *asked = (struct asked){.page = {.ask = {.kind = CAR_LOG_PAGE, .tenant = tenant, .done = on_answer},
                                     .first = first,
                                     .last = last,
                                     .max_events = CAR_LOG_PAGE_EVENTS,
                                     .max_bytes = 1 << 20,
                                     .filter = filter}};
    feed_call(&f, 0, put_question, asked);
    while (!atomic_load(&asked->done)) {
        usleep(200);
    }
    return asked->page.ask.status;
}

static void let_go(struct asked *asked) {
    while (asked->page.count) {
        car_event_unref(&asked->page.events[--asked->page.count]);
    }
}

/* The schema. */

/* As version 1 was made. */
static const char VERSION_1[] =
    "CREATE SCHEMA carillon;"
    "CREATE TABLE carillon.versions (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());"
    "CREATE TABLE carillon.log (epoch text NOT NULL, created_ms bigint NOT NULL, mark bigint NOT NULL DEFAULT 0);"
    "CREATE TABLE carillon.tenants (n bigint PRIMARY KEY, id text NOT NULL UNIQUE, created_ms bigint NOT NULL,"
    " newest bigint NOT NULL);"
    "CREATE TABLE carillon.events (tenant bigint NOT NULL, seq bigint NOT NULL, id uuid NOT NULL,"
    " wall_ms bigint NOT NULL, type text NOT NULL, content text NOT NULL, words tsvector NOT NULL,"
    " PRIMARY KEY (tenant, seq));"
    "INSERT INTO carillon.versions VALUES (1);"
    "INSERT INTO carillon.log VALUES ('0123456789abcdef', 1);"
    "INSERT INTO carillon.tenants VALUES (7, 'a', 5, 3);"
    "INSERT INTO carillon.events SELECT 7, n, gen_random_uuid(), 9, 't' || n % 2, ',\"message\":\"x\"', '''7_x'''"
    " FROM generate_series(1, 3) AS n;";

static void test_update(void) {
    struct asked asked;
    postgres_new(uri, sizeof uri);
    postgres_run(uri, VERSION_1);
    open_store();
    CU_ASSERT_STRING_EQUAL(f.feed.epoch, "0123456789abcdef");
    struct car_tenant *a = feed_tenant_find(&f, "a");
    CU_ASSERT_EQUAL(car_tenant_newest(a), 3);
    CU_ASSERT_EQUAL(ask(&asked, a, 1, 3, NULL), 0);
    CU_ASSERT_EQUAL(asked.page.count, 3);
    let_go(&asked);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count FROM carillon.types WHERE tenant = 7 AND type = 't1'"), 2);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT octet_length(id_key) FROM carillon.log"), 32);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM carillon.versions"), 3);
    feed_close(&f);
}

/* Tries to open; asserts that it is refused with these words. */
static void refused(const char *words) {
    struct car_reclaim *reclaim = car_reclaim_new();
    struct car_reader *reader = car_reader_open(reclaim);
    struct car_feed feed = {.registry = car_registry_new(2), .keep = KEEP};
    const struct car_postgres_config config = {.uri = uri};
    struct car_log *log = NULL;
    char why[400] = "";
    CU_ASSERT_NOT_EQUAL(car_log_postgres(&feed, reclaim, reader, &config, &log, why, sizeof why), 0);
    CU_ASSERT_PTR_NULL(log);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, words));
    CU_ASSERT_EQUAL(strncmp(why, "postgres://127.0.0.1:", 21), 0);
    CU_ASSERT_PTR_NULL(strchr(why, '\n'));
    CU_ASSERT_PTR_NULL(strstr(why, "sesame"));
    if (!strstr(why, words)) {
        fprintf(stderr, "  \"%s\" does not say \"%s\"\n", why, words);
    }
    car_reader_close(&reader);
    car_registry_free(&feed.registry);
    car_reclaim_free(&reclaim);
}

/* All of an update or nothing. */
static void test_failed_update(void) {
    postgres_new(uri, sizeof uri);
    postgres_run(uri, VERSION_1);
    postgres_run(uri, "CREATE TABLE carillon.idempotency (x int)");
    refused("already exists");
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT max(version) FROM carillon.versions"), 1);
    CU_ASSERT_EQUAL(postgres_number(uri, "SELECT count(*) FROM pg_attribute WHERE attname = 'id_key'"), 0);
    postgres_run(uri, "DROP TABLE carillon.idempotency");
    open_store();
    feed_close(&f);
}

static void publish(const char *tenant, unsigned count) {
    feed_publish_and_wait(&f, feed_tenant(&f, tenant), count);
}

static void make_log(void) {
    postgres_new(uri, sizeof uri);
    open_store();
    publish("a", 10);
    publish("b", 10);
    feed_close(&f);
}

static void test_damaged(void) {
    make_log();
    postgres_run(uri, "UPDATE carillon.log SET id_key = 'x'");
    refused("is damaged");
    postgres_run(uri, "DELETE FROM carillon.log");
    refused("is damaged");
    make_log();
    postgres_run(uri, "INSERT INTO carillon.tenants VALUES (9, 'c', 0, 0)");
    refused("--max-tenants");
    postgres_run(
        uri, "DELETE FROM carillon.tenants WHERE n > 1; INSERT INTO carillon.tenants VALUES (9, 'no tenant', 0, 0)");
    refused("is damaged");
    postgres_run(uri, "DROP TABLE carillon.tenants");
    refused("does not exist");
    postgres_run(uri, "DROP TABLE carillon.versions");
    refused("another program's");
}

/* Of what is not read at the start, whoever asks for it is told. The rest can be read. */
static void test_damaged_events(void) {
    static const char *const DAMAGE[] = {
        "DELETE FROM carillon.events WHERE seq = 5",
        "UPDATE carillon.events SET type = 'no type' WHERE seq = 5",
    };
    make_log();
    for (size_t i = 0; i < sizeof DAMAGE / sizeof *DAMAGE; i++) {
        struct asked asked;
        postgres_run(uri, DAMAGE[1 - i]);
        open_store();
        struct car_tenant *a = feed_tenant_find(&f, "a");
        CU_ASSERT_EQUAL(ask(&asked, a, 1, 10, NULL), CAR_EINVAL);
        CU_ASSERT_EQUAL(asked.page.count, 0);
        CU_ASSERT_EQUAL(ask(&asked, a, 6, 10, NULL), 0);
        CU_ASSERT_EQUAL(asked.page.count, 5);
        let_go(&asked);
        feed_close(&f);
    }
}

/* Words. What is found must be what the events themselves say, for all of a tenant's events and no other's. */

static unsigned dice(unsigned sides) {
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % sides;
}

/* Words, what looks like PostgreSQL's syntax, and what is between words, as JSON has it. */
static const char *const PIECES[] = {
    "wor",  "word", "WORD", "words", "1",  "11", "1_wor", "11=t1", "\\u00dcber", "über", "ÜBER", "здравствуй",
    "漢字", "🙂", "'",    "\\\\",  ":*", "&",  "|",     "!",     "(",          ")",    "<->",  "\\u0000",
    "\\n",  "*",    "it's", "a*",    "=",  "_",  ".",     "-",     "ΣΑΣ",        "σας",  "ﬁ",    "x\\u2028y",
};
enum { PIECE_COUNT = sizeof PIECES / sizeof *PIECES, TENANTS = 12, EVENTS = 120 };
static const char *const TYPES[] = {"t1", "t:1", "t.1-x_y", "T1", "1"};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

static void put_pieces(struct car_buf *out, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        car_buf_span(out, car_span_cstr(PIECES[dice(PIECE_COUNT)]));
        if (dice(3)) {
            car_buf_char(out, ' ');
        }
    }
}

static void publish_pieces(struct car_worker *worker, void *arg) {
    struct car_buf message = CAR_BUF_INIT;
    struct car_buf metadata = CAR_BUF_INIT;
    (void)worker;
    for (unsigned i = 0; i < EVENTS; i++) {
        message.len = metadata.len = 0;
        CAR_BUF_LIT(&message, "\"");
        put_pieces(&message, dice(6));
        CAR_BUF_LIT(&message, "\"");
        CAR_BUF_LIT(&metadata, "{\"k1\":[1.5e3,\"");
        put_pieces(&metadata, dice(3));
        CAR_BUF_LIT(&metadata, "\"]}");
        struct car_draft draft = {.type = car_span_cstr(TYPES[dice(TYPE_COUNT)]), .message = car_buf_view(&message)};
        if (dice(2)) {
            draft.metadata = car_buf_view(&metadata);
        }
        feed_publish_event(&f, 0, car_event_new(arg, &draft));
    }
    car_buf_free(&message);
    car_buf_free(&metadata);
}

static void make_filter(struct car_filter *filter, int64_t about_ms) {
    struct car_buf text = CAR_BUF_INIT;
    filter->words.len = filter->types.len = 0;
    put_pieces(&text, dice(3));
    for (unsigned i = dice(3); i > 0; i--) {
        struct car_span type = car_span_cstr(TYPES[dice(TYPE_COUNT)]);
        car_buf_put(&filter->types, type.ptr, type.len + 1);
    }
    if (text.len) {
        car_words_asked(car_buf_view(&text), &filter->words);
    }
    filter->nothing = text.len && !filter->words.len;
    filter->has_from = dice(4) == 0;
    filter->has_to = dice(4) == 0;
    filter->from_ms = about_ms - 50 + dice(100);
    filter->to_ms = about_ms - 50 + dice(100);
    car_buf_free(&text);
}

/* The seqs of what is found, read to the end, against what passes. */
static unsigned compare(struct car_tenant *tenant, const struct car_filter *filter, struct car_event *const *events) {
    struct car_buf scratch = CAR_BUF_INIT;
    struct asked asked;
    uint64_t next = 1;
    unsigned found = 0;
    for (uint64_t first = 1; first <= EVENTS; first += asked.page.seen) {
        CU_ASSERT_EQUAL_FATAL(ask(&asked, tenant, first, EVENTS, filter), 0);
        CU_ASSERT_FATAL(asked.page.seen > 0);
        for (uint32_t i = 0; i < asked.page.count; i++, next++, found++) {
            while (next < asked.page.events[i]->seq) {
                CU_ASSERT_FALSE(car_filter_passes(filter, events[next - 1], &scratch));
                next++;
            }
            CU_ASSERT_TRUE(car_filter_passes(filter, events[next - 1], &scratch));
        }
        let_go(&asked);
    }
    for (; next <= EVENTS; next++) {
        CU_ASSERT_FALSE(car_filter_passes(filter, events[next - 1], &scratch));
    }
    car_buf_free(&scratch);
    return found;
}

static void test_words(void) {
    struct car_event *events[EVENTS];
    struct car_filter filter = {0};
    struct car_tenant *tenants[TENANTS];
    unsigned found = 0;
    postgres_new(uri, sizeof uri);
    open_store();
    for (unsigned i = 0; i < TENANTS; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", i);
        tenants[i] = feed_tenant(&f, name);
        feed_call(&f, 0, publish_pieces, tenants[i]);
        feed_wait_answers(&f, (i + 1) * EVENTS);
    }
    CU_ASSERT_EQUAL(atomic_load(&f.failed), 0);
    for (unsigned i = 0; i < TENANTS; i += TENANTS - 1) {
        CU_ASSERT_EQUAL_FATAL(car_tenant_read(tenants[i], f.reader, 1, events, EVENTS), EVENTS);
        for (unsigned n = 0; n < 300; n++) {
            make_filter(&filter, events[n % EVENTS]->wall_ms);
            found += compare(tenants[i], &filter, events);
        }
        for (unsigned n = 0; n < EVENTS; n++) {
            car_event_unref(&events[n]);
        }
    }
    CU_ASSERT(found > 1000);
    feed_close(&f);
    car_filter_free(&filter);
}

enum { MANY = 60000 };

static void publish_many_words(struct car_worker *worker, void *arg) {
    struct car_buf message = CAR_BUF_INIT;
    (void)worker;
    CAR_BUF_LIT(&message, "\"");
    for (unsigned i = 0; i < MANY; i++) {
        car_buf_printf(&message, "word%u ", i);
    }
    car_buf_put(&message, "\"", 2);
    feed_publish_event(&f, 0, feed_event(arg, "message", "\"a few words\""));
    feed_publish_event(&f, 0, feed_event(arg, "message", message.data));
    feed_publish_event(&f, 0, feed_event(arg, "message", "\"some words\""));
    car_buf_free(&message);
}

/* More words than PostgreSQL takes. */
static void test_many_words(void) {
    static const struct {
        const char *asked;
        unsigned found;
    } CASES[] = {{"word0", 1}, {"word59999", 1}, {"word60000", 0}, {"words", 2}, {"word*", 3}, {"few words", 1}};
    struct car_filter filter = {0};
    struct asked asked;
    postgres_new(uri, sizeof uri);
    open_store();
    struct car_tenant *a = feed_tenant(&f, "a");
    feed_call(&f, 0, publish_many_words, a);
    feed_wait_answers(&f, 3);
    CU_ASSERT_EQUAL(atomic_load(&f.answered), 3);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        filter.words.len = 0;
        car_words_asked(car_span_cstr(CASES[i].asked), &filter.words);
        CU_ASSERT_EQUAL(ask(&asked, a, 1, 3, &filter), 0);
        CU_ASSERT_EQUAL(asked.page.count, CASES[i].found);
        CU_ASSERT_EQUAL(asked.page.seen, 3);
        let_go(&asked);
    }
    feed_close(&f);
    car_filter_free(&filter);
}

/* URIs. */

static void test_uris(void) {
    static const char *const GOOD[] = {
        "postgres://",
        "postgres://h/d",
        "postgresql://u:p%40%2F?@h:1,[::1]:2/d?sslmode=require",
        "postgres:///d?host=/run/postgresql&port=5433",
        "postgres://u@/d?password=a@b/c",
    };
    static const char *const BAD[] = {
        "postgres:",
        "postgres:h/d",
        "mysql://h/d",
        "postgres://u:a@b@h/d",
        "postgres://u:a/b@h/d",
        "postgres://h:x/d",
        "postgres://h/d?port=x",
        "postgres://h/d?nothing=1",
        "postgres://h/d%zz",
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        if (car_postgres_check(GOOD[i])) {
            CU_FAIL(GOOD[i]);
        }
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        if (!car_postgres_check(BAD[i])) {
            CU_FAIL(BAD[i]);
        }
    }
}

static const struct car_test TESTS[] = {
    {"uris", test_uris},
    {"update", test_update},
    {"failed update", test_failed_update},
    {"damaged", test_damaged},
    {"damaged events", test_damaged_events},
    {"words", test_words},
    {"many words", test_many_words},
};

int main(void) {
    return car_suite_main("postgres", TESTS, sizeof TESTS / sizeof *TESTS);
}
