#include "sqlite_accounts.h"

#include <assert.h>
#include <string.h>
#include <zlib.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"

#include "numbered.h"
#include "sqlite_db.h"
#include "sqlite_row.h"

enum statement { PUT, ROOT, MARK, PUT_KEY, DROP_KEY, DROP_KEYS, STATEMENTS };

static_assert(STATEMENTS == CAR_SQLITE_ACCOUNT_STATEMENTS, "one place for each");

static const char PUT_TENANT[] =
    "INSERT INTO tenants (n, id, created_ms, newest, sum, salt, " CAR_SQLITE_TERMS
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    " ON CONFLICT (n) DO UPDATE SET name = excluded.name, terms_sum = excluded.terms_sum, events = excluded.events,"
    " events_window_ms = excluded.events_window_ms, bytes_s = excluded.bytes_s, connections = excluded.connections,"
    " message_bytes = excluded.message_bytes, buffer_events = excluded.buffer_events,"
    " retention_ms = excluded.retention_ms, retention_count = excluded.retention_count WHERE removed = 0";

/* A tenant that has no row yet gets one. */
static const char ROOT_TENANT[] =
    "INSERT INTO tenants (n, id, created_ms, newest, sum, salt) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    " ON CONFLICT (n) DO NOTHING";

/* All of its events are forgotten, and then deleted as those of any other (sqlite_tend.h). */
static const char MARK_TENANT[] = "UPDATE tenants SET removed = 1, forgotten = newest WHERE n = ?1";

static const char PUT_ONE_KEY[] =
    "INSERT INTO keys (kid, tenant, digest, prefix, scopes, created_ms, sum)"
    " SELECT ?2, ?1, ?3, ?4, ?5, ?6, ?7 FROM tenants WHERE n = ?1 AND removed = 0"
    " ON CONFLICT (kid) DO UPDATE SET digest = excluded.digest, prefix = excluded.prefix, scopes = excluded.scopes,"
    " created_ms = excluded.created_ms, sum = excluded.sum WHERE tenant = excluded.tenant";

static const char *const SQL[STATEMENTS] = {
    [PUT] = PUT_TENANT,
    [ROOT] = ROOT_TENANT,
    [MARK] = MARK_TENANT,
    [PUT_KEY] = PUT_ONE_KEY,
    [DROP_KEY] = "DELETE FROM keys WHERE tenant = ?1 AND kid = ?2",
    [DROP_KEYS] = "DELETE FROM keys WHERE tenant = ?1",
};

static const char GET_KEYS[] = "SELECT k.kid, t.id, k.digest, k.prefix, k.scopes, k.created_ms, k.sum FROM keys AS k"
                               " JOIN tenants AS t ON t.n = k.tenant WHERE t.removed = 0";

int car_sqlite_accounts_open(struct car_sqlite_accounts *accounts, struct car_sqlite_db *db) {
    int err = 0;
    accounts->db = db;
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(db, &accounts->statements[i], SQL[i]);
    }
    return err;
}

void car_sqlite_accounts_close(struct car_sqlite_accounts *accounts) {
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(accounts->statements[i]);
        accounts->statements[i] = NULL;
    }
}

/* Sums: what rows say, in a number (sqlite_row.h). A limit that is another, or a scope, is not to go unnoticed. */

static uLong add_text(uLong sum, struct car_span text) {
    return crc32_z(crc32_z(sum, (const Bytef *)text.ptr, text.len), (const Bytef *)"", 1);
}

static uLong add_number(uLong sum, int64_t number) {
    return crc32_z(sum, (const Bytef *)&number, sizeof number);
}

static int64_t sum_of_terms(const struct car_tenant *tenant, const struct car_tenant_terms *terms) {
    int64_t limits[CAR_TENANT_LIMITS];
    car_tenant_limits_put(&terms->limits, limits);
    uLong sum = add_text(add_text(0, car_tenant_id(tenant)), car_span_cstr(terms->name));
    sum = add_number(sum, car_tenant_created_ms(tenant));
    return (int64_t)crc32_z(sum, (const Bytef *)limits, sizeof limits);
}

static int64_t sum_of_key(struct car_span tenant, const struct car_account_key *key) {
    uLong sum = add_text(add_text(0, tenant), car_span_cstr(key->kid));
    sum = add_number(add_text(sum, car_span_cstr(key->prefix)), key->scopes);
    return (int64_t)crc32_z(add_number(sum, key->created_ms), key->digest, sizeof key->digest);
}

/* Storing. */

static int run(struct car_sqlite_accounts *accounts, enum statement which) {
    sqlite3_stmt *statement = accounts->statements[which];
    int err = sqlite3_step(statement) == SQLITE_DONE ? 0 : car_sqlite_failed(accounts->db, "a change is not stored");
    (void)sqlite3_reset(statement);
    return err;
}

static void bind_text(sqlite3_stmt *statement, int at, struct car_span text) {
    (void)sqlite3_bind_text(statement, at, text.ptr, (int)text.len, SQLITE_STATIC);
}

/* What both statements that make a row begin with. */
static sqlite3_stmt *bind_tenant(struct car_sqlite_accounts *accounts, enum statement which,
                                 const struct car_tenant *tenant, int64_t n) {
    sqlite3_stmt *statement = accounts->statements[which];
    (void)sqlite3_bind_int64(statement, 1, n);
    bind_text(statement, 2, car_tenant_id(tenant));
    (void)sqlite3_bind_int64(statement, 3, car_tenant_created_ms(tenant));
    (void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)car_tenant_newest(tenant));
    (void)sqlite3_bind_int64(statement, 5, car_sqlite_name_sum(car_tenant_id(tenant)));
    (void)sqlite3_bind_int64(statement, 6, car_tenant_salt(tenant));
    return statement;
}

static int put_tenant(struct car_sqlite_accounts *accounts, const struct car_log_change *change, int64_t n) {
    sqlite3_stmt *statement = bind_tenant(accounts, PUT, change->tenant, n);
    int64_t limits[CAR_TENANT_LIMITS];
    car_tenant_limits_put(&change->terms->limits, limits);
    bind_text(statement, 7, car_span_cstr(change->terms->name));
    (void)sqlite3_bind_int64(statement, 8, sum_of_terms(change->tenant, change->terms));
    for (int i = 0; i < CAR_TENANT_LIMITS; i++) {
        (void)sqlite3_bind_int64(statement, 9 + i, limits[i]);
    }
    return run(accounts, PUT);
}

static int put_key(struct car_sqlite_accounts *accounts, const struct car_log_change *change, int64_t n) {
    sqlite3_stmt *statement = accounts->statements[PUT_KEY];
    const struct car_account_key *key = change->key;
    (void)sqlite3_bind_int64(statement, 1, n);
    bind_text(statement, 2, car_span_cstr(key->kid));
    (void)sqlite3_bind_blob(statement, 3, key->digest, sizeof key->digest, SQLITE_STATIC);
    bind_text(statement, 4, car_span_cstr(key->prefix));
    (void)sqlite3_bind_int64(statement, 5, key->scopes);
    (void)sqlite3_bind_int64(statement, 6, key->created_ms);
    (void)sqlite3_bind_int64(statement, 7, sum_of_key(car_tenant_id(change->tenant), key));
    return run(accounts, PUT_KEY);
}

static int remove_tenant(struct car_sqlite_accounts *accounts, int64_t n) {
    (void)sqlite3_bind_int64(accounts->statements[MARK], 1, n);
    (void)sqlite3_bind_int64(accounts->statements[DROP_KEYS], 1, n);
    int err = run(accounts, MARK);
    return err ? err : run(accounts, DROP_KEYS);
}

int car_sqlite_accounts_change(struct car_sqlite_accounts *accounts, struct car_numbered *numbered,
                               const struct car_log_change *change, int64_t *n) {
    uint32_t at;
    int err = car_numbered_get(numbered, change->tenant, &at);
    if (err) {
        return err;
    }
    *n = numbered->items[at].n;
    switch (change->kind) {
    case CAR_LOG_TENANT_PUT:
        err = put_tenant(accounts, change, *n);
        return err || !change->key ? err : put_key(accounts, change, *n);
    case CAR_LOG_TENANT_REMOVE:
        return remove_tenant(accounts, *n);
    case CAR_LOG_KEY_PUT:
        (void)bind_tenant(accounts, ROOT, change->tenant, *n);
        err = run(accounts, ROOT);
        return err ? err : put_key(accounts, change, *n);
    case CAR_LOG_KEY_REMOVE:
        (void)sqlite3_bind_int64(accounts->statements[DROP_KEY], 1, *n);
        bind_text(accounts->statements[DROP_KEY], 2, car_span_cstr(change->key->kid));
        return run(accounts, DROP_KEY);
    }
    return CAR_EINVAL;
}

/* What a former process has left. */

/* Copies a text into room for `size` characters and a NUL. false where it does not fit. */
static bool take_text(sqlite3_stmt *row, int at, char *out, size_t size) {
    struct car_span text = car_sqlite_column(row, at);
    if (text.len > size || memchr(text.ptr, '\0', text.len)) {
        return false;
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

int car_sqlite_accounts_terms(sqlite3_stmt *row, int at, struct car_tenant *tenant, struct car_reader *reader) {
    struct car_tenant_terms terms = {0};
    int64_t limits[CAR_TENANT_LIMITS];
    bool any = sqlite3_column_bytes(row, at) > 0;
    for (int i = 0; i < CAR_TENANT_LIMITS; i++) {
        limits[i] = sqlite3_column_int64(row, at + 2 + i);
        any = any || limits[i];
    }
    if (!take_text(row, at, terms.name, CAR_TENANT_NAME_MAX) || !car_tenant_name_ok(car_span_cstr(terms.name)) ||
        !car_tenant_limits_take(&terms.limits, limits) ||
        !car_sqlite_sum_ok(sqlite3_column_int64(row, at + 1), sum_of_terms(tenant, &terms))) {
        return CAR_EINVAL;
    }
    return any ? car_tenant_set_terms(tenant, reader, &terms) : 0;
}

static int take_key(sqlite3_stmt *row, struct car_feed *feed) {
    struct car_account_key key = {0};
    struct car_span digest = car_sqlite_column(row, 2);
    if (!take_text(row, 0, key.kid, CAR_ACCOUNT_KID_LEN) || !take_text(row, 1, key.tenant, CAR_TENANT_ID_MAX) ||
        !take_text(row, 3, key.prefix, CAR_ACCOUNT_PREFIX_MAX) || digest.len != sizeof key.digest) {
        return CAR_EINVAL;
    }
    memcpy(key.digest, digest.ptr, sizeof key.digest);
    key.scopes = (uint32_t)sqlite3_column_int64(row, 4);
    key.created_ms = sqlite3_column_int64(row, 5);
    if (sqlite3_column_int64(row, 6) != sum_of_key(car_span_cstr(key.tenant), &key)) {
        return CAR_EINVAL;
    }
    if (feed->key) {
        feed->key(feed->key_user, &key);
    }
    return 0;
}

int car_sqlite_accounts_keys(struct car_sqlite_db *db, struct car_feed *feed) {
    sqlite3_stmt *keys;
    int status = SQLITE_DONE;
    int err = car_sqlite_prepare(db, &keys, GET_KEYS);
    while (!err && (status = sqlite3_step(keys)) == SQLITE_ROW) {
        err = take_key(keys, feed);
    }
    (void)sqlite3_finalize(keys);
    return err || status == SQLITE_DONE ? err : car_sqlite_failed(db, "the keys cannot be read");
}
