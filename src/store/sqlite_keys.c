#include "sqlite_keys.h"

#include <assert.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/repeat.h"
#include "carillon/feed/tenant.h"

#include "group.h"
#include "sqlite_db.h"
#include "sqlite_row.h"

enum statement { FIND, EVENTS, PUT, EXPIRE, STATEMENTS };

static_assert(STATEMENTS == CAR_SQLITE_KEY_STATEMENTS, "one place for each");

static const char FIND_KEY[] = "SELECT t.n, i.body, i.first, i.count FROM tenants AS t"
                               " JOIN idempotency AS i ON i.tenant = t.n"
                               " WHERE t.id = ?1 AND t.removed = 0 AND i.key = ?2 AND i.at_ms > ?3";
static const char GET_EVENTS[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3"
                                 " ORDER BY seq";
static const char PUT_KEY[] = "INSERT INTO idempotency (tenant, key, body, first, count, at_ms)"
                              " VALUES ((SELECT n FROM tenants WHERE id = ?1 AND removed = 0),"
                              " ?2, ?3, ?4, ?5, ?6)"
                              " ON CONFLICT (tenant, key) DO UPDATE SET body = excluded.body, first = excluded.first,"
                              " count = excluded.count, at_ms = excluded.at_ms";
/* Up to a moment, and not row by row: that has an index. */
static const char EXPIRE_KEYS[] = "DELETE FROM idempotency WHERE at_ms <= coalesce((SELECT at_ms FROM idempotency"
                                  " WHERE at_ms <= ?1 ORDER BY at_ms LIMIT 1 OFFSET ?2 - 1), ?1)";

static const char *const SQL[STATEMENTS] = {
    [FIND] = FIND_KEY, [EVENTS] = GET_EVENTS, [PUT] = PUT_KEY, [EXPIRE] = EXPIRE_KEYS};

int car_sqlite_keys_open(struct car_sqlite_keys *keys, struct car_sqlite_db *db) {
    int err = 0;
    keys->db = db;
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(db, &keys->statements[i], SQL[i]);
    }
    return err;
}

void car_sqlite_keys_close(struct car_sqlite_keys *keys) {
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(keys->statements[i]);
        keys->statements[i] = NULL;
    }
}

static void bind_tenant(sqlite3_stmt *statement, const struct car_tenant *tenant) {
    struct car_span id = car_tenant_id(tenant);
    (void)sqlite3_bind_text(statement, 1, id.ptr, (int)id.len, SQLITE_STATIC);
}

static void bind_digest(sqlite3_stmt *statement, int at, const uint8_t digest[32]) {
    (void)sqlite3_bind_blob(statement, at, digest, 32, SQLITE_STATIC);
}

/* Ends a statement that was stepped until `status`. */
static int end(struct car_sqlite_keys *keys, enum statement which, int status, const char *what) {
    int err = status == SQLITE_DONE || status == SQLITE_ROW ? 0 : car_sqlite_failed(keys->db, what);
    (void)sqlite3_reset(keys->statements[which]);
    return err;
}

static void let_go(struct car_sqlite_keys *keys, uint32_t count) {
    while (count > 0) {
        car_event_unref(&keys->events[--count]);
    }
}

/* Reads events of a tenant into `events`: *read of them, less than `count` where they are not all there. */
static int read_events(struct car_sqlite_keys *keys, const struct car_tenant *tenant, int64_t n, uint64_t first,
                       uint32_t count, uint32_t *read) {
    sqlite3_stmt *statement = keys->statements[EVENTS];
    struct car_event_row row;
    int err = 0;
    int status = SQLITE_ROW;
    *read = 0;
    (void)sqlite3_bind_int64(statement, 1, n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)first);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)(first + count - 1));
    while (!err && *read < count && (status = sqlite3_step(statement)) == SQLITE_ROW &&
           car_sqlite_row(statement, car_tenant_id(tenant), &row) == 0 && row.seq == first + *read) {
        keys->events[*read] = car_event_restore(tenant, &row);
        err = keys->events[*read] ? 0 : CAR_ENOMEM;
        *read += !err;
    }
    int failed = end(keys, EVENTS, status, "a repeat's events are not read");
    err = err ? err : failed;
    if (err) {
        let_go(keys, *read);
    }
    return err;
}

/* What the database has of a key. */
struct found {
    int64_t tenant;
    uint64_t first;
    uint32_t count; /* 0: nothing */
    bool same;
};

static int find(struct car_sqlite_keys *keys, struct car_publish *publish, int64_t since_ms, struct found *found) {
    sqlite3_stmt *statement = keys->statements[FIND];
    *found = (struct found){0};
    bind_tenant(statement, publish->tenant);
    bind_digest(statement, 2, publish->key->key);
    (void)sqlite3_bind_int64(statement, 3, since_ms);
    int status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        struct car_span body = car_sqlite_column(statement, 1);
        int64_t first = sqlite3_column_int64(statement, 2);
        int64_t count = sqlite3_column_int64(statement, 3);
        /* What is gone, or going, is not known any more. */
        if (body.len == sizeof publish->key->body && count >= 1 && count <= CAR_PUBLISH_MAX && first >= 1 &&
            (uint64_t)first > car_tenant_forgotten(publish->tenant)) {
            *found = (struct found){sqlite3_column_int64(statement, 0), (uint64_t)first, (uint32_t)count, false};
            found->same = car_repeat_fits(publish, (const uint8_t *)body.ptr, found->count);
        }
    }
    return end(keys, FIND, status, "a key is not looked up");
}

static int recall(struct car_sqlite_keys *keys, struct car_publish *publish, int64_t since_ms) {
    struct found found;
    uint32_t read = 0;
    int err = find(keys, publish, since_ms, &found);
    if (!err && found.same) {
        err = read_events(keys, publish->tenant, found.tenant, found.first, found.count, &read);
        if (!err && read == found.count) {
            car_repeat_replay(publish, keys->events);
        }
        if (!err) {
            let_go(keys, read);
        }
    }
    return err;
}

int car_sqlite_keys_recall(struct car_sqlite_keys *keys, struct car_publish *const *publishes, size_t count,
                           int64_t since_ms) {
    int err = 0;
    for (size_t i = 0; i < count && !err; i++) {
        err = recall(keys, publishes[i], since_ms);
    }
    return err;
}

int car_sqlite_keys_remember(struct car_sqlite_keys *keys, const struct car_rows_key *rows, size_t count) {
    sqlite3_stmt *statement = keys->statements[PUT];
    int err = 0;
    for (size_t i = 0; i < count && !err; i++) {
        bind_tenant(statement, rows[i].tenant);
        bind_digest(statement, 2, rows[i].key.key);
        bind_digest(statement, 3, rows[i].key.body);
        (void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)rows[i].first);
        (void)sqlite3_bind_int64(statement, 5, rows[i].count);
        (void)sqlite3_bind_int64(statement, 6, rows[i].at_ms);
        err = end(keys, PUT, sqlite3_step(statement), "a key is not stored");
    }
    return err;
}

int car_sqlite_keys_expire(struct car_sqlite_keys *keys, int64_t since_ms, size_t max) {
    sqlite3_stmt *statement = keys->statements[EXPIRE];
    (void)sqlite3_bind_int64(statement, 1, since_ms);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)max);
    return end(keys, EXPIRE, sqlite3_step(statement), "old keys are not forgotten");
}
