#include "stores.h"

#include <CUnit/CUnit.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/store/postgres.h"
#include "carillon/store/sqlite.h"

#include "postgres.h"

static char folder[] = "/tmp/carillon-stores-XXXXXX";
static char path[64], search[80];
static char uri[200]; /* of a database that goes with the path; empty where there is none yet */
static bool in_postgres;

static void clean_up(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
}

void store_folder(void) {
    if (!mkdtemp(folder)) {
        abort();
    }
    atexit(clean_up);
}

void store_new(void) {
    static unsigned files;
    snprintf(path, sizeof path, "%s/%u.db", folder, files++);
    snprintf(search, sizeof search, "%s-search", path);
    uri[0] = '\0';
}

void store_open(struct feed_fixture *f, const char *store, unsigned workers, uint32_t keep, uint64_t retain) {
    in_postgres = strncmp(store, "postgres", 8) == 0;
    if (strcmp(store, "memory") == 0) {
        feed_open(f, workers, keep);
    } else if (in_postgres) {
        if (!uri[0]) {
            postgres_new(uri, sizeof uri);
        }
        const struct car_postgres_config config = {
            .uri = uri, .relaxed = strcmp(store, "postgres relaxed") == 0, .retain_count = retain};
        feed_open_postgres_with(f, workers, keep, &config);
    } else {
        const struct car_sqlite_config config = {
            .path = path, .relaxed = strcmp(store, "relaxed") == 0, .retain_count = retain};
        feed_open_sqlite_with(f, workers, keep, &config);
    }
    f->feed.retain = retain;
    feed_start(f);
}

bool store_is_postgres(void) {
    return in_postgres;
}

const char *store_path(void) {
    return path;
}

const char *store_uri(void) {
    return uri;
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

int64_t store_number(const char *sql) {
    char look[sizeof uri + 40];
    snprintf(look, sizeof look, "%s?options=-csearch_path%%3Dcarillon", uri);
    return in_postgres ? postgres_number(look, sql) : number_of(path, sql);
}

int64_t store_search_number(const char *sql) {
    return number_of(search, sql);
}

void store_becomes(int64_t (*number)(const char *sql), const char *sql, int64_t want) {
    int64_t is = -1;
    for (unsigned i = 0; i < 8000 && is != want; i++) {
        is = number(sql);
        usleep(is == want ? 0 : 2000);
    }
    CU_ASSERT_EQUAL(is, want);
    if (is != want) {
        fprintf(stderr, "  %s: %lld, not %lld\n", sql, (long long)is, (long long)want);
    }
}

void store_change(const char *database, const char *sql) {
    sqlite3 *db = NULL;
    char *why = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(database, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fprintf(stderr, "  %s: %s\n", sql, why);
        CU_FAIL("a change");
    }
    sqlite3_free(why);
    CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}
