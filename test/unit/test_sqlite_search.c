#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/tenant.h"
#include "carillon/feed/words.h"
#include "carillon/store/sqlite.h"
#include "store/sqlite_search.h"
#include "support/feed_fixture.h"
#include "support/log_ask.h"

#include "suite.h"

/* The search index beside the database: what a filter finds is what passes it, whatever is indexed. */

enum { KEEP = 20, TENANTS = 3, EVENTS_MAX = 8000, WORDS = 40, TYPES = 6, WORDS_OF_ONE = 4 };

static struct feed_fixture f;
static char folder[] = "/tmp/carillon-search-XXXXXX";
static char path[64];
static unsigned files;
static unsigned long published;

static void new_path(void) {
    snprintf(path, sizeof path, "%s/%u.db", folder, files++);
}

static void open_log(void) {
    feed_open_sqlite(&f, 1, KEEP, path, false);
    feed_start(&f);
    published = 0;
}

static uint64_t seed = 7;

static unsigned pick(unsigned n) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

/* What was published: the model that is asked as well. */
struct said {
    unsigned type, words[WORDS_OF_ONE];
};

static struct said model[TENANTS][EVENTS_MAX + 1];
static unsigned newest[TENANTS];
static struct car_tenant *tenants[TENANTS];

/* Some begin like others; some are of another script. */
static void word_of(unsigned n, char out[32]) {
    static const char *const STEMS[] = {"need", "needle", "\xc3\xbc", "x"};
    snprintf(out, 32, "%s%u%s", STEMS[n % 4], n / 4, n % 4 == 2 ? "ber" : "");
}

static void type_of(unsigned n, char out[32]) {
    snprintf(out, 32, n % 2 ? "Order:%u.made" : "order:%u.made", n / 2);
}

static void put_events(struct car_worker *worker, void *arg) {
    unsigned count = *(unsigned *)arg;
    (void)worker;
    for (unsigned i = 0; i < count; i++) {
        unsigned t = pick(TENANTS);
        struct said *said = &model[t][++newest[t]];
        char message[200] = "\"";
        char type[32];
        said->type = pick(TYPES);
        for (unsigned w = 0; w < WORDS_OF_ONE; w++) {
            char word[32];
            said->words[w] = pick(WORDS);
            word_of(said->words[w], word);
            snprintf(message + strlen(message), sizeof message - strlen(message), "%s, ", word);
        }
        snprintf(message + strlen(message), sizeof message - strlen(message), "\"");
        type_of(said->type, type);
        feed_publish_event(&f, 0, feed_event(tenants[t], type, message));
    }
}

static void publish(unsigned count) {
    feed_call(&f, 0, put_events, &count);
    published += count;
    feed_wait_answers(&f, published);
}

static void open_anew(void) {
    new_path();
    open_log();
    memset(newest, 0, sizeof newest);
    tenants[0] = feed_tenant(&f, "a");
    tenants[1] = feed_tenant(&f, "b");
    tenants[2] = feed_tenant(&f, "c");
}

static void reopen(void) {
    open_log();
    tenants[0] = feed_tenant_find(&f, "a");
    tenants[1] = feed_tenant_find(&f, "b");
    tenants[2] = feed_tenant_find(&f, "c");
}

/* A question, and what the model says to it. */
struct question {
    struct car_filter filter;
    unsigned word_count, type_count;
    struct {
        char text[32];
        bool prefix;
    } words[2];
    unsigned types[2];
};

static void make_question(struct question *q) {
    *q = (struct question){.word_count = pick(3), .type_count = pick(3)};
    for (unsigned i = 0; i < q->word_count; i++) {
        word_of(pick(WORDS), q->words[i].text);
        q->words[i].prefix = pick(2);
        if (q->words[i].prefix) {
            q->words[i].text[pick(5) ? 4 : 1] = '\0';
            if (q->words[i].text[0] == '\xc3') {
                snprintf(q->words[i].text, 32, "\xc3\xbc");
            }
        }
        car_buf_span(&q->filter.words, car_span_cstr(q->words[i].text));
        if (q->words[i].prefix) {
            car_buf_char(&q->filter.words, '*');
        }
        car_buf_char(&q->filter.words, '\0');
    }
    for (unsigned i = 0; i < q->type_count; i++) {
        char type[32];
        q->types[i] = pick(TYPES);
        type_of(q->types[i], type);
        car_buf_put(&q->filter.types, type, strlen(type) + 1);
    }
}

static bool has(const struct said *said, const char *text, bool prefix) {
    for (unsigned w = 0; w < WORDS_OF_ONE; w++) {
        char word[32];
        word_of(said->words[w], word);
        if (prefix ? strncmp(word, text, strlen(text)) == 0 : strcmp(word, text) == 0) {
            return true;
        }
    }
    return false;
}

static bool passes(const struct question *q, const struct said *said) {
    bool type = q->type_count == 0;
    for (unsigned i = 0; i < q->type_count; i++) {
        type = type || q->types[i] == said->type;
    }
    for (unsigned i = 0; i < q->word_count && type; i++) {
        type = has(said, q->words[i].text, q->words[i].prefix);
    }
    return type;
}

/* Asks something, up and down, of some range. */
static void ask_something(void) {
    static uint64_t up[EVENTS_MAX + 1], down[EVENTS_MAX + 1];
    struct question q;
    unsigned t = pick(TENANTS);
    if (newest[t] == 0) {
        return;
    }
    unsigned first = 1 + pick(newest[t]);
    unsigned last = first + pick(newest[t] - first + 1);
    make_question(&q);
    unsigned n = log_ask_passing(&f, tenants[t], first, last, false, &q.filter, up, EVENTS_MAX);
    unsigned m = log_ask_passing(&f, tenants[t], first, last, true, &q.filter, down, EVENTS_MAX);
    unsigned at = 0;
    CU_ASSERT_EQUAL(n, m);
    for (unsigned seq = first; seq <= last; seq++) {
        if (passes(&q, &model[t][seq])) {
            CU_ASSERT(at < n && up[at] == seq);
            CU_ASSERT(at < m && down[m - 1 - at] == seq);
            at++;
        }
    }
    CU_ASSERT_EQUAL(at, n);
    car_filter_free(&q.filter);
}

/* One number out of a database; -1 where there is none. */
static int64_t number_of(const char *file, const char *sql) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t n = -1;
    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        n = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return n;
}

static void search_path(char out[80]) {
    snprintf(out, 80, "%s-search", path);
}

static bool all_indexed(void) {
    char file[80];
    search_path(file);
    return number_of(file, "SELECT sum(high) FROM places") == (int64_t)newest[0] + newest[1] + newest[2];
}

static void wait_for_index(void) {
    for (unsigned i = 0; i < 10000 && !all_indexed(); i++) {
        usleep(2000);
    }
    CU_ASSERT_FATAL(all_indexed());
}

static void test_agrees_with_a_scan(void) {
    open_anew();
    for (unsigned round = 0; round < 60; round++) {
        publish(1 + pick(200));
        for (unsigned i = 0; i < 6; i++) {
            ask_something();
        }
    }
    wait_for_index();
    for (unsigned i = 0; i < 300; i++) {
        ask_something();
    }
    feed_close(&f);
    reopen();
    for (unsigned i = 0; i < 50; i++) {
        ask_something();
    }
    publish(100);
    wait_for_index();
    for (unsigned i = 0; i < 50; i++) {
        ask_something();
    }
    feed_close(&f);
}

static void change(const char *file, const char *sql) {
    sqlite3 *db = NULL;
    char *why = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK);
    if (why) {
        fprintf(stderr, "  %s: %s\n", sql, why);
    }
    sqlite3_free(why);
    CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}

static unsigned count_word(const char *word) {
    static uint64_t found[EVENTS_MAX];
    struct car_filter filter = {0};
    car_buf_put(&filter.words, word, strlen(word) + 1);
    unsigned n = log_ask_passing(&f, tenants[0], 1, car_tenant_newest(tenants[0]), false, &filter, found, EVENTS_MAX);
    car_filter_free(&filter);
    return n;
}

static void put_needles(struct car_worker *worker, void *arg) {
    (void)worker;
    (void)arg;
    for (unsigned i = 0; i < 100; i++) {
        newest[0]++;
        feed_publish_event(&f, 0, feed_event(tenants[0], "t", i % 10 ? "\"hay\"" : "\"a needle\""));
    }
}

static void make_needles(void) {
    open_anew();
    feed_call(&f, 0, put_needles, NULL);
    feed_wait_answers(&f, 100);
    wait_for_index();
}

/* Appends the term of a word, or of a type, as the index of that file has it for the first tenant. */
static void put_term(struct car_buf *out, const char *file, char kind, const char *word) {
    struct car_indexed place = {0};
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_prepare_v2(db, "SELECT low, high, key FROM places WHERE n = 1", -1, &statement, NULL),
                    SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_ROW);
    car_search_read_place(statement, &place);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    car_search_term(out, 1, place.key, 1, kind, car_span_cstr(word));
}

static int64_t number_of_needles(const char *file) {
    struct car_buf sql = CAR_BUF_INIT;
    CAR_BUF_LIT(&sql, "SELECT count(*) FROM search WHERE search MATCH '\"");
    put_term(&sql, file, '_', "needle");
    CAR_BUF_LIT(&sql, "\"'\0");
    int64_t n = number_of(file, sql.data);
    car_buf_free(&sql);
    return n;
}

/* The index of that file has no needle in the event of that seq any more. */
static void take_needle(const char *file, unsigned seq) {
    struct car_buf sql = CAR_BUF_INIT;
    car_buf_printf(&sql, "INSERT INTO search (search, rowid, words) VALUES ('delete', (1 << 41) | %u, '", seq);
    put_term(&sql, file, '=', "t");
    car_buf_char(&sql, ' ');
    put_term(&sql, file, '_', "a");
    car_buf_char(&sql, ' ');
    put_term(&sql, file, '_', "needle");
    CAR_BUF_LIT(&sql, "')\0");
    change(file, sql.data);
    car_buf_free(&sql);
}

/* What the index lacks is not found: so it is what is looked into. */
static void test_index_is_used(void) {
    char file[80];
    make_needles();
    search_path(file);
    CU_ASSERT_EQUAL(count_word("needle"), 10);
    take_needle(file, 11);
    CU_ASSERT_EQUAL(count_word("needle"), 9);
    CU_ASSERT_EQUAL(count_word("nothing"), 0);
    feed_close(&f);
}

static void spoil_garbage(const char *file) {
    FILE *out = fopen(file, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fputs("this is no database at all, and long enough to be looked at as one would be looked at", out);
    fclose(out);
}

static void spoil_delete(const char *file) {
    CU_ASSERT_EQUAL(unlink(file), 0);
}

static void spoil_epoch(const char *file) {
    change(file, "UPDATE origin SET name = 'another'");
}

static void spoil_table(const char *file) {
    change(file, "DROP TABLE places");
}

/* The database was copied back from a backup, and went on otherwise. */
static void spoil_history(const char *file) {
    (void)file;
    change(path, "UPDATE events SET id = randomblob(16), sum = -1 WHERE seq = 100");
}

/* Such an index is thrown away and made anew, and what is found is right. */
static void test_made_anew(void) {
    static void (*const SPOIL[])(const char *) = {spoil_garbage, spoil_delete, spoil_epoch, spoil_table, spoil_history};
    for (size_t i = 0; i < sizeof SPOIL / sizeof *SPOIL; i++) {
        char file[80];
        make_needles();
        feed_close(&f);
        search_path(file);
        if (access(file, F_OK) == 0 && i > 1) {
            take_needle(file, 11);
        }
        SPOIL[i](file);
        reopen();
        CU_ASSERT_EQUAL(count_word("needle"), 10);
        wait_for_index();
        CU_ASSERT_EQUAL(count_word("needle"), 10);
        CU_ASSERT_EQUAL(number_of_needles(file), 10);
        feed_close(&f);
    }
}

/* One that becomes unreadable while it is used: what is found is right, without it. */
static void test_damaged_meanwhile(void) {
    char file[80];
    make_needles();
    search_path(file);
    change(file, "UPDATE search_data SET block = x'00' WHERE id > 10");
    CU_ASSERT_EQUAL(count_word("needle"), 10);
    feed_close(&f);
    reopen();
    wait_for_index();
    CU_ASSERT_EQUAL(count_word("needle"), 10);
    feed_close(&f);
}

/* Over the border between two blocks, and with more matches than a page has. */
static void test_blocks(void) {
    static uint64_t found[140000];
    struct car_filter filter = {0};
    open_anew();
    publish(1);
    feed_close(&f);
    unsigned t = newest[0] ? 0 : newest[1] ? 1 : 2;
    change(path,
           "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 140000)"
           " INSERT INTO events (tenant, seq, id, wall_ms, type, content, sum) SELECT 1, i, randomblob(16), 0, 'm',"
           " ',\"message\":\"' || iif(i % 7, 'other', 'seventh') || ' n' || i || '\"', -1 FROM n;"
           "UPDATE tenants SET newest = 140000");
    newest[t] = 140000;
    reopen();
    wait_for_index();
    car_buf_put(&filter.words, "seventh", 8);
    unsigned n = log_ask_passing(&f, tenants[t], 1, 140000, false, &filter, found, 140000);
    CU_ASSERT_EQUAL(n, 20000);
    CU_ASSERT(n && found[0] == 7 && found[n - 1] == 140000);
    n = log_ask_passing(&f, tenants[t], 65530, 65543, true, &filter, found, 140000);
    CU_ASSERT_EQUAL(n, 2);
    CU_ASSERT(n == 2 && found[0] == 65541 && found[1] == 65534);
    filter.words.len = 0;
    car_buf_put(&filter.words, "n6553*", 7);
    n = log_ask_passing(&f, tenants[t], 1, 140000, true, &filter, found, 140000);
    CU_ASSERT_EQUAL(n, 11); /* n6553, and n65530 to n65539 */
    car_filter_free(&filter);
    feed_close(&f);
}

static const struct car_test TESTS[] = {
    {"agrees with a scan", test_agrees_with_a_scan},
    {"the index is used", test_index_is_used},
    {"made anew", test_made_anew},
    {"damaged meanwhile", test_damaged_meanwhile},
    {"blocks", test_blocks},
};

int main(void) {
    char command[100];
    if (!mkdtemp(folder)) {
        return EXIT_FAILURE;
    }
    int status = car_suite_main("sqlite_search", TESTS, sizeof TESTS / sizeof *TESTS);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
    return status;
}
