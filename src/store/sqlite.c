#include "carillon/store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"

#include "group.h"
#include "sqlite_db.h"

enum statement { BEGIN, TENANT, INSERT, PROBE, COMMIT, ROLLBACK, STATEMENTS };

static const char PUT_TENANT[] = "INSERT INTO tenants (id, created_ms, newest) VALUES (?1, ?2, ?3)"
                                 " ON CONFLICT (id) DO UPDATE SET newest = excluded.newest RETURNING n";
static const char PUT_EVENT[] = "INSERT INTO events (tenant, seq, id, wall_ms, type, content)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE", [TENANT] = PUT_TENANT,
    [INSERT] = PUT_EVENT,        [PROBE] = "UPDATE log SET epoch = epoch",
    [COMMIT] = "COMMIT",         [ROLLBACK] = "ROLLBACK",
};

struct sqlite {
    struct car_rows rows; /* first */
    struct car_sqlite_db db;
    sqlite3_stmt *statements[STATEMENTS];
};

static struct sqlite *of_rows(struct car_rows *rows) {
    return (struct sqlite *)rows;
}

/* Storing. */

/* Runs a statement to its end; *number, unless NULL, gets the first column of its row. */
static int run(struct sqlite *sqlite, enum statement which, int64_t *number, const char *what) {
    sqlite3_stmt *statement = sqlite->statements[which];
    int status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        if (number) {
            *number = sqlite3_column_int64(statement, 0);
        }
        status = sqlite3_step(statement);
    }
    int err = status == SQLITE_DONE ? 0 : car_sqlite_failed(&sqlite->db, what);
    (void)sqlite3_reset(statement);
    return err;
}

static int begin(struct car_rows *rows) {
    return run(of_rows(rows), BEGIN, NULL, "no transaction begins");
}

static int bind_text(sqlite3_stmt *statement, int at, struct car_span text) {
    return sqlite3_bind_text(statement, at, text.ptr, (int)text.len, SQLITE_STATIC);
}

static int tenant(struct car_rows *rows, const struct car_tenant *tenant, uint64_t newest) {
    struct sqlite *sqlite = of_rows(rows);
    sqlite3_stmt *statement = sqlite->statements[TENANT];
    int64_t n = 0;
    (void)bind_text(statement, 1, car_tenant_id(tenant));
    (void)sqlite3_bind_int64(statement, 2, car_tenant_created_ms(tenant));
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)newest);
    int err = run(sqlite, TENANT, &n, "a tenant is not stored");
    (void)sqlite3_bind_int64(sqlite->statements[INSERT], 1, n);
    return err;
}

static int insert(struct car_rows *rows, const struct car_event *event) {
    struct sqlite *sqlite = of_rows(rows);
    sqlite3_stmt *statement = sqlite->statements[INSERT];
    struct car_event_row row;
    car_event_row(event, &row);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)row.seq);
    (void)sqlite3_bind_blob(statement, 3, row.id.bytes, sizeof row.id.bytes, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 4, row.wall_ms);
    (void)bind_text(statement, 5, row.type);
    (void)bind_text(statement, 6, row.content);
    return run(sqlite, INSERT, NULL, "an event is not stored");
}

static int probe(struct car_rows *rows) {
    return run(of_rows(rows), PROBE, NULL, "the store takes nothing");
}

static int commit(struct car_rows *rows) {
    return run(of_rows(rows), COMMIT, NULL, "a transaction is not committed");
}

static void rollback(struct car_rows *rows) {
    struct sqlite *sqlite = of_rows(rows);
    if (!sqlite3_get_autocommit(sqlite->db.handle)) { /* some errors have rolled back already */
        (void)run(sqlite, ROLLBACK, NULL, "a transaction is not rolled back");
    }
}

static void sqlite_free(struct car_rows *rows) {
    struct sqlite *sqlite = of_rows(rows);
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(sqlite->statements[i]);
    }
    car_sqlite_db_close(&sqlite->db);
    free(sqlite);
}

static const struct car_rows_ops OPS = {.begin = begin,
                                        .tenant = tenant,
                                        .insert = insert,
                                        .probe = probe,
                                        .commit = commit,
                                        .rollback = rollback,
                                        .free = sqlite_free};

/* What a former process has left. */

struct restoring {
    struct sqlite *sqlite;
    struct car_feed *feed;
    struct car_reader *reader;
    sqlite3_stmt *tenants, *events;
    const char *what; /* is wrong; NULL: what SQLite says */
};

static struct car_span column(sqlite3_stmt *statement, int at) {
    const char *bytes = sqlite3_column_blob(statement, at);
    return car_span_of(bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, at));
}

static int restore_event(struct restoring *r, struct car_tenant *tenant, uint64_t seq) {
    struct car_event_row row = {.seq = (uint64_t)sqlite3_column_int64(r->events, 0),
                                .wall_ms = sqlite3_column_int64(r->events, 2),
                                .type = column(r->events, 3),
                                .content = column(r->events, 4)};
    struct car_span id = column(r->events, 1);
    if (row.seq != seq || id.len != sizeof row.id.bytes || !car_event_type_ok(row.type)) {
        r->what = "is damaged: an event is missing, or is none";
        return CAR_EINVAL;
    }
    memcpy(row.id.bytes, id.ptr, id.len);
    struct car_event *event = car_event_restore(tenant, &row);
    return event ? car_tenant_restore_event(tenant, r->reader, event) : CAR_ENOMEM;
}

/* Its newest events, as many as are kept in memory. */
static int restore_events(struct restoring *r, struct car_tenant *tenant, int64_t n, uint64_t newest,
                          int64_t created_ms) {
    uint64_t seq = newest > r->feed->keep ? newest - r->feed->keep : 0;
    (void)sqlite3_bind_int64(r->events, 1, n);
    (void)sqlite3_bind_int64(r->events, 2, (sqlite3_int64)seq);
    car_tenant_restore(tenant, seq, created_ms);
    int err = 0;
    int status = SQLITE_OK;
    while (!err && (status = sqlite3_step(r->events)) == SQLITE_ROW) {
        err = restore_event(r, tenant, ++seq);
    }
    (void)sqlite3_reset(r->events);
    if (!err && status == SQLITE_DONE && seq != newest) {
        r->what = "is damaged: an event is missing";
        return CAR_EINVAL;
    }
    return err || status == SQLITE_DONE ? err : car_sqlite_failed(&r->sqlite->db, "the log cannot be read");
}

static int restore_tenant(struct restoring *r) {
    struct car_span id = column(r->tenants, 1);
    struct car_tenant *tenant = NULL;
    int err = car_registry_add(r->feed->registry, r->reader, id, &tenant);
    if (err == CAR_EFULL) {
        r->what = "has more tenants than --max-tenants allows";
    } else if (err == CAR_EINVAL || err == CAR_EEXIST) {
        r->what = "is damaged: a tenant is there twice, or is none";
    }
    return err ? err
               : restore_events(r, tenant, sqlite3_column_int64(r->tenants, 0),
                                (uint64_t)sqlite3_column_int64(r->tenants, 2), sqlite3_column_int64(r->tenants, 3));
}

static int restore_epoch(struct restoring *r) {
    sqlite3_stmt *statement;
    int err = car_sqlite_prepare(&r->sqlite->db, &statement, "SELECT epoch FROM log");
    if (err) {
        return err;
    }
    if (sqlite3_step(statement) == SQLITE_ROW && column(statement, 0).len == CAR_EPOCH_LEN) {
        memcpy(r->feed->epoch, column(statement, 0).ptr, CAR_EPOCH_LEN);
    } else {
        r->what = "is damaged: the log has no name";
        err = CAR_EINVAL;
    }
    (void)sqlite3_finalize(statement);
    return err;
}

static int restore(struct restoring *r) {
    struct car_sqlite_db *db = &r->sqlite->db;
    int err = restore_epoch(r);
    err = err ? err : car_sqlite_prepare(db, &r->tenants, "SELECT n, id, newest, created_ms FROM tenants");
    err = err ? err
              : car_sqlite_prepare(db, &r->events,
                                   "SELECT seq, id, wall_ms, type, content FROM events"
                                   " WHERE tenant = ?1 AND seq > ?2 ORDER BY seq");
    int status = SQLITE_OK;
    while (!err && (status = sqlite3_step(r->tenants)) == SQLITE_ROW) {
        err = restore_tenant(r);
    }
    (void)sqlite3_finalize(r->events);
    (void)sqlite3_finalize(r->tenants);
    return err || status == SQLITE_DONE ? err : car_sqlite_failed(&r->sqlite->db, "the log cannot be read");
}

int car_log_sqlite(struct car_feed *feed, struct car_reclaim *reclaim, struct car_reader *reader,
                   const struct car_sqlite_config *config, struct car_log **out, char *why, size_t size) {
    struct sqlite *sqlite = calloc(1, sizeof *sqlite);
    struct restoring restoring = {.sqlite = sqlite, .feed = feed, .reader = reader};
    if (!sqlite) {
        snprintf(why, size, "out of memory");
        return CAR_ENOMEM;
    }
    sqlite->rows = (struct car_rows){.ops = &OPS, .why = sqlite->db.why};
    int err = car_sqlite_db_open(&sqlite->db, config->path, why, size);
    if (err) {
        free(sqlite);
        return err;
    }
    err = restore(&restoring);
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(&sqlite->db, &sqlite->statements[i], SQL[i]);
    }
    struct car_log *log = err ? NULL : car_group_open(feed, reclaim, &sqlite->rows, config->relaxed);
    if (!log) {
        snprintf(why, size, "%s: %s", config->path,
                 restoring.what    ? restoring.what
                 : err == CAR_ESYS ? sqlite->db.why
                                   : "out of memory");
        sqlite_free(&sqlite->rows);
        return err ? err : CAR_ENOMEM;
    }
    *out = log;
    return 0;
}
