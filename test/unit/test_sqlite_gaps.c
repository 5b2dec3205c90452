#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/sqlite_checkpoint.h"
#include "store/sqlite_db.h"
#include "store/sqlite_gaps.h"

#include "suite.h"

/* What is deleted from a database leaves nothing in its pages, and all else is as it was. */

enum { PAGE = 4096, ROWS = 3000, MARKED = 7 };

static const char MARK[] = "qzwxecrvtbyn";
static char folder[] = "/tmp/carillon-gaps-XXXXXX";
static char path[64];
static unsigned files;

static void new_path(void) {
    snprintf(path, sizeof path, "%s/%u.db", folder, files++);
}

/* Pages made by hand. */

/* A page of this type with its cells, of 10 bytes each, at its end, and other bytes wherever else they may be. */
static void make_page(unsigned char page[PAGE], size_t header, unsigned type, unsigned cells) {
    size_t to = PAGE - 10 * cells;
    size_t at = header + (type > 5 ? 8 : 12);
    memset(page, 'x', PAGE);
    memset(page + header, 0, at - header);
    page[header] = (unsigned char)type;
    page[header + 4] = (unsigned char)cells;
    page[header + 5] = (unsigned char)(to >> 8);
    page[header + 6] = (unsigned char)to;
    for (unsigned i = 0; i < cells; i++) {
        page[at + 2 * i] = (unsigned char)((to + 10 * i) >> 8);
        page[at + 2 * i + 1] = (unsigned char)(to + 10 * i);
    }
}

static void test_find(void) {
    static const unsigned TYPES[] = {2, 5, 10, 13};
    for (size_t i = 0; i < 4; i++) {
        for (size_t header = 0; header <= 100; header += 100) {
            unsigned char page[PAGE];
            struct car_sqlite_gap gap = {0};
            size_t head = header + (i < 2 ? 12 : 8);
            for (unsigned cells = 0; cells < 200; cells += 33) {
                make_page(page, header, TYPES[i], cells);
                CU_ASSERT_TRUE(car_sqlite_gap_find(page, PAGE, header, &gap));
                CU_ASSERT_EQUAL(gap.from, head + 2 * cells);
                CU_ASSERT_EQUAL(gap.to, PAGE - 10 * cells);
            }
        }
    }
}

static void not_found(const unsigned char page[PAGE], size_t size) {
    struct car_sqlite_gap gap;
    CU_ASSERT_FALSE(car_sqlite_gap_find(page, size, 0, &gap));
}

static void test_find_none(void) {
    unsigned char page[PAGE];
    for (unsigned type = 0; type < 256; type++) {
        make_page(page, 0, 13, 20);
        page[0] = (unsigned char)type;
        if (type != 2 && type != 5 && type != 10 && type != 13) {
            not_found(page, PAGE);
        }
    }
    make_page(page, 0, 13, 20);
    page[5] = 0x10; /* the content begins at the end, or behind it: there are cells before it */
    page[6] = 0;
    not_found(page, PAGE);
    page[6] = 1;
    not_found(page, PAGE);
    page[5] = page[6] = 0; /* 65536 */
    not_found(page, PAGE);
    make_page(page, 0, 13, 20);
    page[3] = 0x7f; /* more cells than there is room for */
    not_found(page, PAGE);
    make_page(page, 0, 13, 20);
    page[8] = 0; /* a cell in the gap, or among the pointers */
    not_found(page, PAGE);
    make_page(page, 0, 13, 20);
    page[46] = 0x10; /* a cell behind the page */
    not_found(page, PAGE);
    make_page(page, 0, 13, 20);
    not_found(page, 2048); /* a smaller page */
    memset(page, 13, PAGE);
    not_found(page, PAGE);
    make_page(page, 0, 10, 0);
    page[5] = 0;
    page[6] = 8; /* no gap at all */
    not_found(page, PAGE);
}

/* Databases. */

static bool has_mark(const char *end) {
    static char name[96];
    snprintf(name, sizeof name, "%s%s", path, end);
    FILE *in = fopen(name, "re");
    size_t size = 64 << 20;
    char *bytes = malloc(size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    size_t len = in ? fread(bytes, 1, size, in) : 0;
    bool has = memmem(bytes, len, MARK, sizeof MARK - 1) != NULL;
    free(bytes);
    if (in) {
        fclose(in);
    }
    return has;
}

static void exec(sqlite3 *db, const char *sql) {
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fprintf(stderr, "  %s: %s\n", sql, why);
        CU_FAIL("a statement");
    }
    sqlite3_free(why);
}

static int64_t number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        n = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return n;
}

static const char TABLE[] =
    "CREATE TABLE rows (owner INTEGER, key TEXT, text TEXT, n INTEGER, PRIMARY KEY (owner, key))"
    " WITHOUT ROWID; CREATE INDEX by_text ON rows (text, n)";

/* Rows of ten owners, in no order, of which one has the mark in all that it has. */
static void fill(sqlite3 *db, uint64_t seed) {
    char sql[500];
    exec(db, "BEGIN");
    for (unsigned i = 0; i < ROWS; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        unsigned owner = (unsigned)(seed >> 33) % 10;
        const char *mark = owner == MARKED ? MARK : "some other";
        snprintf(sql, sizeof sql, "INSERT INTO rows VALUES (%u, '%08x%s', '%08x%s%.*s', %u)", owner,
                 (unsigned)(seed >> 20), mark, (unsigned)(seed >> 28), mark, (int)(seed >> 40) % 100,
                 "....................................................................................................",
                 1000 + i % 1000);
        exec(db, sql);
        if (i % 100 == 99) {
            exec(db, "COMMIT; BEGIN");
        }
    }
    exec(db, "COMMIT");
}

static void test_nothing_is_left(void) {
    static const char *const MODES[] = {"DELETE", "WAL"};
    static const unsigned SIZES[] = {512, 1024, 4096, 65536};
    for (unsigned i = 0; i < 2 * 4; i++) {
        sqlite3 *db = NULL;
        char sql[120];
        new_path();
        CU_ASSERT_EQUAL_FATAL(
            sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, car_sqlite_gaps_vfs()), SQLITE_OK);
        snprintf(sql, sizeof sql,
                 "PRAGMA page_size = %u; PRAGMA journal_mode = %s; PRAGMA secure_delete = 1; PRAGMA synchronous = OFF",
                 SIZES[i / 2], MODES[i % 2]);
        exec(db, sql);
        exec(db, TABLE);
        fill(db, i);
        int64_t others = number(db, "SELECT count(*) FROM rows WHERE owner != 7");
        exec(db, "DELETE FROM rows WHERE owner = 7; PRAGMA wal_checkpoint(TRUNCATE)");
        CU_ASSERT_FALSE(has_mark(""));
        CU_ASSERT_FALSE(has_mark("-wal"));
        CU_ASSERT_EQUAL(number(db, "SELECT count(*) FROM rows NOT INDEXED"), others);
        CU_ASSERT_EQUAL(number(db, "PRAGMA page_size"), SIZES[i / 2]);
        CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
        CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK); /* all of it from the file */
        CU_ASSERT_EQUAL(number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
        CU_ASSERT_EQUAL(number(db, "SELECT count(*) FROM rows INDEXED BY by_text WHERE text > ''"), others);
        CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
    }
}

/* Emptying the WAL. */

static void empties(uint64_t seed) {
    struct car_checkpoints checkpoints;
    struct car_sqlite_db db;
    sqlite3 *reader = NULL;
    char why[200];
    new_path();
    CU_ASSERT_EQUAL_FATAL(car_sqlite_db_open(&db, path, 0, why, sizeof why), 0);
    car_checkpoints_init(&checkpoints);
    car_checkpoints_watch(&checkpoints, &db);
    exec(db.handle, TABLE);
    fill(db.handle, seed);
    exec(db.handle, "DELETE FROM rows WHERE owner = 7");
    CU_ASSERT_TRUE(has_mark("-wal"));

    CU_ASSERT_EQUAL(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    exec(reader, "BEGIN; SELECT count(*) FROM rows");
    exec(db.handle, "UPDATE log SET created_ms = 1");
    CU_ASSERT_FALSE(car_checkpoint_empty(&checkpoints, &db));
    CU_ASSERT_EQUAL(db.why[0], '\0');
    CU_ASSERT(car_checkpoints_pending(&checkpoints) > 0); /* what the reader does not want yet */
    CU_ASSERT_TRUE(has_mark("-wal"));
    CU_ASSERT_EQUAL(sqlite3_close(reader), SQLITE_OK);

    CU_ASSERT_TRUE(car_checkpoint_empty(&checkpoints, &db));
    CU_ASSERT_EQUAL(car_checkpoints_pending(&checkpoints), 0);
    CU_ASSERT_TRUE(car_checkpoint_empty(&checkpoints, &db)); /* of nothing */
    CU_ASSERT_FALSE(has_mark(""));
    exec(db.handle, "UPDATE rows SET n = n + 1");
    CU_ASSERT(car_checkpoints_pending(&checkpoints) > 0);
    CU_ASSERT_FALSE(has_mark("-wal")); /* nor has a page that was in memory */
    CU_ASSERT_EQUAL(number(db.handle, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    car_sqlite_db_close(&db);
}

static void test_empty(void) {
    for (uint64_t seed = 0; seed < 12; seed++) {
        empties(seed);
    }
}

static const struct car_test TESTS[] = {
    {"find", test_find},
    {"find none", test_find_none},
    {"nothing is left", test_nothing_is_left},
    {"empty", test_empty},
};

int main(void) {
    char command[100];
    if (!mkdtemp(folder)) {
        return EXIT_FAILURE;
    }
    int status = car_suite_main("sqlite_gaps", TESTS, sizeof TESTS / sizeof *TESTS);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
    return status;
}
