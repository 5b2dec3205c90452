#include "sqlite_schema.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "carillon/base/clock.h"
#include "carillon/base/crypto.h"

/* What leads from each version to the next. Never changed once it was released: what is missing is the next one's. */
static const char *const STEPS[CAR_SQLITE_VERSION_FIRST] = {
    /* 1. A tenant's row is there from its first event on; `newest` is kept in the same transaction as the events. A row
     * of `events` is what the event's JSON is made of (car_event_row). */
    "CREATE TABLE log (epoch TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE tenants (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,"
    " newest INTEGER NOT NULL) STRICT;"
    "CREATE TABLE events (tenant INTEGER NOT NULL REFERENCES tenants, seq INTEGER NOT NULL, id BLOB NOT NULL,"
    " wall_ms INTEGER NOT NULL, type TEXT NOT NULL, content TEXT NOT NULL,"
    " PRIMARY KEY (tenant, seq)) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 1131179569;",

    /* 2. The key of the events' ids (car_event_key). Seqs up to `forgotten` are gone, or going. `types` counts the
     * events that are there. `sum` says what an event's row is, and a tenant's
     * name (sqlite_row.h). `idempotency` has digests (SHA-256) of
     * keys and bodies, and which events they led to. */
    "ALTER TABLE log ADD COLUMN id_key BLOB NOT NULL DEFAULT x'';"
    "UPDATE log SET id_key = randomblob(32);"
    "ALTER TABLE tenants ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE tenants ADD COLUMN sum INTEGER NOT NULL DEFAULT -1;"
    "CREATE TABLE types (tenant INTEGER NOT NULL REFERENCES tenants, type TEXT NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY (tenant, type)) STRICT, WITHOUT ROWID;"
    "ALTER TABLE events ADD COLUMN sum INTEGER NOT NULL DEFAULT -1;"
    "INSERT INTO types SELECT tenant, type, count(*) FROM events GROUP BY tenant, type;"
    "CREATE TABLE idempotency (tenant INTEGER NOT NULL REFERENCES tenants, key BLOB NOT NULL, body BLOB NOT NULL,"
    " first INTEGER NOT NULL, count INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (tenant, key)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX idempotency_at ON idempotency (at_ms);"
    "CREATE INDEX idempotency_first ON idempotency (tenant, first);",

    /* 3. A tenant that is `removed` is gone for everybody, its row until all that it had is deleted; so an id is unique
     * among the others. What it is called, and its limits, 0 being the default; `salt` goes into its events' ids;
     * `terms_sum` says what they are (sqlite_accounts.c), as does the `sum` of a key. Rows of `keys` have digests
     * (SHA-256) only. */
    "CREATE TABLE tenants_3 (n INTEGER PRIMARY KEY, id TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " newest INTEGER NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0, sum INTEGER NOT NULL DEFAULT -1,"
    " removed INTEGER NOT NULL DEFAULT 0, name TEXT NOT NULL DEFAULT '', events INTEGER NOT NULL DEFAULT 0,"
    " events_window_ms INTEGER NOT NULL DEFAULT 0, bytes_s INTEGER NOT NULL DEFAULT 0,"
    " connections INTEGER NOT NULL DEFAULT 0, message_bytes INTEGER NOT NULL DEFAULT 0,"
    " buffer_events INTEGER NOT NULL DEFAULT 0, retention_ms INTEGER NOT NULL DEFAULT 0,"
    " retention_count INTEGER NOT NULL DEFAULT 0, salt INTEGER NOT NULL DEFAULT 0, terms_sum INTEGER NOT NULL DEFAULT "
    "-1) STRICT;"
    "INSERT INTO tenants_3 (n, id, created_ms, newest, forgotten, sum)"
    " SELECT n, id, created_ms, newest, forgotten, sum FROM tenants;"
    "DROP TABLE tenants;"
    "ALTER TABLE tenants_3 RENAME TO tenants;"
    "CREATE UNIQUE INDEX tenants_id ON tenants (id) WHERE removed = 0;"
    "CREATE TABLE keys (kid TEXT PRIMARY KEY, tenant INTEGER NOT NULL REFERENCES tenants, digest BLOB NOT NULL,"
    " prefix TEXT NOT NULL, scopes INTEGER NOT NULL, created_ms INTEGER NOT NULL, sum INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX keys_tenant ON keys (tenant);",
};

/* 4. A traceparent (proto/traceparent.h), NULL where there is none; a `sum` covers it. In every database, and perhaps
 * already: whoever serves one of version 3 may say so again. */
static const char ADD_TRACEPARENT[] = "ALTER TABLE events ADD COLUMN traceparent TEXT";
static const char FIND_TRACEPARENT[] = "SELECT 1 FROM pragma_table_info('events') WHERE name = 'traceparent'";

static int run(sqlite3 *handle, const char *sql) {
    return sqlite3_exec(handle, sql, NULL, NULL, NULL);
}

/* The log's name, which tells it from all others. */
static int name(sqlite3 *handle) {
    char line[120];
    uint64_t epoch;
    car_random(&epoch, sizeof epoch);
    snprintf(line, sizeof line, "INSERT INTO log (epoch, created_ms) VALUES ('%016llx', %lld)",
             (unsigned long long)epoch, (long long)car_clock_wall_ms());
    return run(handle, line);
}

static int find_traceparent(sqlite3 *handle, bool *found) {
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(handle, FIND_TRACEPARENT, -1, &statement, NULL);
    *found = status == SQLITE_OK && (status = sqlite3_step(statement)) == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    return status == SQLITE_ROW || status == SQLITE_DONE ? SQLITE_OK : status;
}

static int update(sqlite3 *handle, unsigned from) {
    char version[60];
    int status = run(handle, "BEGIN IMMEDIATE");
    for (unsigned v = from; v < CAR_SQLITE_VERSION_FIRST && status == SQLITE_OK; v++) {
        status = run(handle, STEPS[v]);
        if (v == 0 && status == SQLITE_OK) {
            status = name(handle);
        }
    }
    if (status == SQLITE_OK) {
        status = run(handle, ADD_TRACEPARENT);
    }
    if (status == SQLITE_OK) {
        snprintf(version, sizeof version, "PRAGMA user_version = %d; COMMIT", CAR_SQLITE_VERSION_FIRST);
        status = run(handle, version);
    }
    return status;
}

int car_sqlite_schema_update(sqlite3 *handle, unsigned from) {
    bool found = false;
    int status = find_traceparent(handle, &found);
    return status != SQLITE_OK || found ? status : update(handle, from);
}
