#include "plain.h"

#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rows.h"

static const char TABLES[] = "('log', 'tenants', 'events')";

struct copy {
    sqlite3 *from, *to;
    struct rows log, tenants, events;
    int tenant, seq, n, newest; /* columns: two of the events, two of the tenants */
    size_t *tenant_rows;        /* by number, for as many as `numbers` */
    size_t numbers;
    sqlite3_stmt *begin, *commit, *put_tenant, *put_event;
};

static int fail(const char *what, const char *text) {
    fprintf(stderr, "carillon-ceiling: %s: %s\n", what, text);
    return -1;
}

static double read_clock(clockid_t id) {
    struct timespec at;
    clock_gettime(id, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* What is read. */

static int read_rows(struct copy *copy, const char *from) {
    if (sqlite3_open_v2(from, &copy->from, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        rows_read(copy->from, "log", "", &copy->log) != 0 ||
        rows_read(copy->from, "tenants", "", &copy->tenants) != 0 ||
        rows_read(copy->from, "events", "ORDER BY wall_ms, tenant, seq", &copy->events) != 0) {
        return fail(from, sqlite3_errmsg(copy->from));
    }
    copy->tenant = rows_column(&copy->events, "tenant");
    copy->seq = rows_column(&copy->events, "seq");
    copy->n = rows_column(&copy->tenants, "n");
    copy->newest = rows_column(&copy->tenants, "newest");
    if (copy->tenant < 0 || copy->seq < 0 || copy->n < 0 || copy->newest < 0) {
        return fail(from, "its tables have other columns than events have here");
    }
    return copy->events.count ? 0 : fail(from, "there are no events in it");
}

static sqlite3_int64 number_at(const struct rows *rows, size_t row, int column) {
    const struct cell *cell = &rows_at(rows, row)[column];
    return cell->type == SQLITE_INTEGER ? cell->integer : -1;
}

#define NUMBERS_MAX (1u << 24)

/* The row of each tenant by its number. */
static int index_tenants(struct copy *copy) {
    for (size_t i = 0; i < copy->tenants.count; i++) {
        sqlite3_int64 n = number_at(&copy->tenants, i, copy->n);
        if (n < 0 || n >= NUMBERS_MAX) {
            return fail("tenants", "a number is out of range");
        }
        copy->numbers = (size_t)n >= copy->numbers ? (size_t)n + 1 : copy->numbers;
    }
    copy->tenant_rows = malloc((copy->numbers + 1) * sizeof *copy->tenant_rows);
    if (!copy->tenant_rows) {
        return fail("tenants", "out of memory");
    }
    for (size_t i = 0; i < copy->numbers; i++) {
        copy->tenant_rows[i] = SIZE_MAX;
    }
    for (size_t i = 0; i < copy->tenants.count; i++) {
        copy->tenant_rows[number_at(&copy->tenants, i, copy->n)] = i;
    }
    for (size_t i = 0; i < copy->events.count; i++) {
        sqlite3_int64 n = number_at(&copy->events, i, copy->tenant);
        if (n < 0 || (size_t)n >= copy->numbers || copy->tenant_rows[n] == SIZE_MAX) {
            return fail("events", "one is nobody's");
        }
    }
    return 0;
}

/* What is made. */

static int run(struct copy *copy, const char *sql) {
    return sqlite3_exec(copy->to, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(sql, sqlite3_errmsg(copy->to));
}

/* Each row of a query on `from` is SQL to be run. */
static int run_each(struct copy *copy, char *query) {
    sqlite3_stmt *statement = NULL;
    int status = query ? sqlite3_prepare_v2(copy->from, query, -1, &statement, NULL) : SQLITE_NOMEM;
    sqlite3_free(query);
    int err = status == SQLITE_OK ? 0 : fail("the schema", sqlite3_errmsg(copy->from));
    while (!err && sqlite3_step(statement) == SQLITE_ROW) {
        err = run(copy, (const char *)sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return err;
}

/* Pages are as long as the original's: that is settled before there is a table. */
static int make_tables(struct copy *copy, const char *to) {
    if (sqlite3_open_v2(to, &copy->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        return fail(to, sqlite3_errmsg(copy->to));
    }
    int err = run_each(copy, sqlite3_mprintf("SELECT 'PRAGMA page_size = ' || page_size FROM pragma_page_size"));
    err = err ? err : run(copy, "PRAGMA journal_mode = WAL");
    err = err ? err : run(copy, "PRAGMA synchronous = FULL");
    return err ? err
               : run_each(copy, sqlite3_mprintf("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
                                                " AND type IN ('table', 'index') AND tbl_name IN %s"
                                                " ORDER BY type = 'index'",
                                                TABLES));
}

static int prepare(struct copy *copy, sqlite3_stmt **out, char *sql) {
    int status = sql ? sqlite3_prepare_v3(copy->to, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) : SQLITE_NOMEM;
    int err = status == SQLITE_OK ? 0 : fail(sql ? sql : "SQL", sqlite3_errmsg(copy->to));
    sqlite3_free(sql);
    return err;
}

static int step(struct copy *copy, sqlite3_stmt *statement) {
    int status = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return status == SQLITE_DONE ? 0 : fail(sqlite3_sql(statement), sqlite3_errmsg(copy->to));
}

static char *insert_sql(const char *table, const struct rows *rows, const char *otherwise) {
    return sqlite3_mprintf("INSERT INTO %s (%s) VALUES (%s)%s", table, rows->columns, rows->placeholders, otherwise);
}

static int put_log(struct copy *copy) {
    sqlite3_stmt *statement = NULL;
    int err = prepare(copy, &statement, insert_sql("log", &copy->log, ""));
    for (size_t i = 0; i < copy->log.count && !err; i++) {
        rows_bind(&copy->log, i, statement);
        err = step(copy, statement);
    }
    (void)sqlite3_finalize(statement);
    return err;
}

static int prepare_all(struct copy *copy) {
    int err = prepare(copy, &copy->begin, sqlite3_mprintf("BEGIN IMMEDIATE"));
    err = err ? err : prepare(copy, &copy->commit, sqlite3_mprintf("COMMIT"));
    err =
        err ? err
            : prepare(copy, &copy->put_tenant,
                      insert_sql("tenants", &copy->tenants, " ON CONFLICT (n) DO UPDATE SET newest = excluded.newest"));
    return err ? err : prepare(copy, &copy->put_event, insert_sql("events", &copy->events, ""));
}

/* The loop. */

static int by_tenant(const void *left, const void *right, void *user) {
    const struct copy *copy = user;
    const struct cell *a = rows_at(&copy->events, *(const size_t *)left);
    const struct cell *b = rows_at(&copy->events, *(const size_t *)right);
    int column = a[copy->tenant].integer == b[copy->tenant].integer ? copy->seq : copy->tenant;
    return (a[column].integer > b[column].integer) - (a[column].integer < b[column].integer);
}

/* Where the transaction of this number ends. */
static size_t end_of(const struct copy *copy, size_t transaction, double batch) {
    double end = round((double)(transaction + 1) * batch);
    return end < (double)copy->events.count ? (size_t)end : copy->events.count;
}

/* A transaction's events lie tenant by tenant, as the server writes them. */
static size_t *in_order(struct copy *copy, double batch) {
    size_t *order = malloc(copy->events.count * sizeof *order);
    for (size_t i = 0; order && i < copy->events.count; i++) {
        order[i] = i;
    }
    for (size_t begin = 0, number = 0, end; order && begin < copy->events.count; begin = end) {
        end = end_of(copy, number++, batch);
        qsort_r(order + begin, end - begin, sizeof *order, by_tenant, copy);
    }
    return order;
}

/* The tenant of a part, with the seq of the part's last event as its newest. */
static int put_tenant(struct copy *copy, size_t last_event) {
    size_t row = copy->tenant_rows[number_at(&copy->events, last_event, copy->tenant)];
    rows_at(&copy->tenants, row)[copy->newest].integer = number_at(&copy->events, last_event, copy->seq);
    rows_bind(&copy->tenants, row, copy->put_tenant);
    return step(copy, copy->put_tenant);
}

static int put_part(struct copy *copy, const size_t *order, size_t count) {
    int err = put_tenant(copy, order[count - 1]);
    for (size_t i = 0; i < count && !err; i++) {
        rows_bind(&copy->events, order[i], copy->put_event);
        err = step(copy, copy->put_event);
    }
    return err;
}

static int put_transaction(struct copy *copy, const size_t *order, size_t count) {
    int err = step(copy, copy->begin);
    for (size_t begin = 0, end; begin < count && !err; begin = end) {
        sqlite3_int64 tenant = number_at(&copy->events, order[begin], copy->tenant);
        for (end = begin + 1; end < count && number_at(&copy->events, order[end], copy->tenant) == tenant; end++) {
        }
        err = put_part(copy, order + begin, end - begin);
    }
    return err ? err : step(copy, copy->commit);
}

static int put_all(struct copy *copy, double batch, struct plain *plain) {
    size_t *order = in_order(copy, batch);
    if (!order) {
        return fail("events", "out of memory");
    }
    int err = 0;
    double cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    double began = read_clock(CLOCK_MONOTONIC);
    for (size_t begin = 0, end; begin < copy->events.count && !err; begin = end) {
        end = end_of(copy, plain->transactions++, batch);
        err = put_transaction(copy, order + begin, end - begin);
    }
    plain->seconds = read_clock(CLOCK_MONOTONIC) - began;
    plain->cpu_seconds = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    free(order);
    return err;
}

static int count_all(struct copy *copy, struct plain *plain) {
    sqlite3_stmt *statement = NULL;
    int err = prepare(copy, &statement, sqlite3_mprintf("SELECT count(*) FROM events"));
    if (!err && sqlite3_step(statement) == SQLITE_ROW) {
        plain->events = (size_t)sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return err || plain->events == copy->events.count ? err : fail("events", "not all of them are there");
}

static void copy_close(struct copy *copy) {
    (void)sqlite3_finalize(copy->begin);
    (void)sqlite3_finalize(copy->commit);
    (void)sqlite3_finalize(copy->put_tenant);
    (void)sqlite3_finalize(copy->put_event);
    (void)sqlite3_close(copy->from);
    (void)sqlite3_close(copy->to);
    rows_free(&copy->log);
    rows_free(&copy->tenants);
    rows_free(&copy->events);
    free(copy->tenant_rows);
}

int plain_run(const char *from, const char *to, double batch, struct plain *plain) {
    struct copy copy = {0};
    *plain = (struct plain){0};
    int err = read_rows(&copy, from);
    err = err ? err : index_tenants(&copy);
    err = err ? err : make_tables(&copy, to);
    err = err ? err : put_log(&copy);
    err = err ? err : prepare_all(&copy);
    err = err ? err : put_all(&copy, batch, plain);
    err = err ? err : count_all(&copy, plain);
    copy_close(&copy);
    return err;
}
