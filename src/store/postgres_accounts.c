#include "postgres_accounts.h"

#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"

#include "postgres_db.h"

/* Changes are rare, so nothing is prepared for them. */

static const char FORGET[] = "WITH t AS (DELETE FROM carillon.tenants_before) DELETE FROM carillon.keys_before";

static const char COPY[] = "WITH t AS (INSERT INTO carillon.tenants_before (n, " CAR_PG_TERMS
                           ") SELECT n, " CAR_PG_TERMS " FROM carillon.tenants WHERE n = $1)"
                           " INSERT INTO carillon.keys_before SELECT * FROM carillon.keys WHERE tenant = $1";

static const char ROOT[] = "INSERT INTO carillon.tenants (n, id, created_ms, newest, salt) VALUES ($1, $2, $3, $4, $5)"
                           " ON CONFLICT (n) DO NOTHING";

static const char PUT[] =
    "UPDATE carillon.tenants SET name = $2, events = $3[1], events_window_ms = $3[2], bytes_s = $3[3],"
    " connections = $3[4], message_bytes = $3[5], buffer_events = $3[6], retention_ms = $3[7], retention_count = $3[8]"
    " WHERE n = $1 AND NOT removed";

static const char REMOVE[] = "WITH k AS (DELETE FROM carillon.keys WHERE tenant = $1)"
                             " UPDATE carillon.tenants SET removed = true WHERE n = $1";

static const char PUT_KEY[] =
    "INSERT INTO carillon.keys AS k (kid, tenant, digest, prefix, scopes, created_ms)"
    " SELECT $2, $1, $3, $4, $5, $6 FROM carillon.tenants WHERE n = $1 AND NOT removed"
    " ON CONFLICT (kid) DO UPDATE SET digest = excluded.digest, prefix = excluded.prefix, scopes = excluded.scopes,"
    " created_ms = excluded.created_ms WHERE k.tenant = excluded.tenant";

static const char DROP_KEY[] = "DELETE FROM carillon.keys WHERE tenant = $1 AND kid = $2";

static const char KEYS[] = "SELECT k.kid, t.id, k.digest, k.prefix, k.scopes, k.created_ms FROM carillon.keys AS k"
                           " JOIN carillon.tenants AS t ON t.n = k.tenant WHERE NOT t.removed";

enum key_column { KID, TENANT, DIGEST, PREFIX, SCOPES, CREATED };

/* Storing. */

int car_pg_accounts_send_forget(struct car_pg *pg) {
    return car_pg_send(pg, FORGET, NULL);
}

int car_pg_accounts_send_before(struct car_pg *pg, const struct car_tenant *tenant, int64_t n, uint64_t newest) {
    struct car_pg_args copy = {0};
    struct car_pg_args root = {0};
    car_pg_number(&copy, n);
    car_pg_number(&root, n);
    car_pg_value(&root, CAR_PG_TEXT, car_tenant_id(tenant));
    car_pg_number(&root, car_tenant_created_ms(tenant));
    car_pg_number(&root, (int64_t)newest);
    car_pg_number(&root, car_tenant_salt(tenant));
    int err = car_pg_send(pg, COPY, &copy);
    return err ? err : car_pg_send(pg, ROOT, &root);
}

static int put_tenant(struct car_pg *pg, const struct car_tenant_terms *terms, int64_t n) {
    struct car_pg_args args = {0};
    struct car_buf limits = CAR_BUF_INIT;
    int64_t numbers[CAR_TENANT_LIMITS];
    car_tenant_limits_put(&terms->limits, numbers);
    car_pg_array_clear(&limits, CAR_PG_NUMBER);
    for (int i = 0; i < CAR_TENANT_LIMITS; i++) {
        car_pg_array_number(&limits, numbers[i]);
    }
    car_pg_number(&args, n);
    car_pg_value(&args, CAR_PG_TEXT, car_span_cstr(terms->name));
    car_pg_value(&args, CAR_PG_NUMBERS, car_buf_view(&limits));
    int err = limits.failed ? CAR_ENOMEM : car_pg_send(pg, PUT, &args);
    car_buf_free(&limits);
    return err;
}

static int put_key(struct car_pg *pg, const struct car_account_key *key, int64_t n) {
    struct car_pg_args args = {0};
    car_pg_number(&args, n);
    car_pg_value(&args, CAR_PG_TEXT, car_span_cstr(key->kid));
    car_pg_value(&args, CAR_PG_BYTES, car_span_of((const char *)key->digest, sizeof key->digest));
    car_pg_value(&args, CAR_PG_TEXT, car_span_cstr(key->prefix));
    car_pg_number(&args, key->scopes);
    car_pg_number(&args, key->created_ms);
    return car_pg_send(pg, PUT_KEY, &args);
}

int car_pg_accounts_send(struct car_pg *pg, const struct car_log_change *change, int64_t n) {
    struct car_pg_args args = {0};
    int err;
    car_pg_number(&args, n);
    switch (change->kind) {
    case CAR_LOG_TENANT_PUT:
        err = put_tenant(pg, change->terms, n);
        return err || !change->key ? err : put_key(pg, change->key, n);
    case CAR_LOG_TENANT_REMOVE:
        return car_pg_send(pg, REMOVE, &args);
    case CAR_LOG_KEY_PUT:
        return put_key(pg, change->key, n);
    case CAR_LOG_KEY_REMOVE:
        car_pg_value(&args, CAR_PG_TEXT, car_span_cstr(change->key->kid));
        return car_pg_send(pg, DROP_KEY, &args);
    }
    return CAR_EINVAL;
}

/* What a former process has left. */

/* Copies a text into room for `size` characters and a NUL. false where it does not fit. */
static bool take_text(const PGresult *rows, int row, int column, char *out, size_t size) {
    struct car_span text = car_pg_column(rows, row, column);
    if (text.len > size) {
        return false;
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

int car_pg_accounts_terms(const PGresult *rows, int row, int column, struct car_tenant *tenant,
                          struct car_reader *reader) {
    struct car_tenant_terms terms = {0};
    int64_t limits[CAR_TENANT_LIMITS];
    bool any = car_pg_column(rows, row, column).len > 0;
    for (int i = 0; i < CAR_TENANT_LIMITS; i++) {
        limits[i] = car_pg_column_number(rows, row, column + 1 + i);
        any = any || limits[i];
    }
    if (!take_text(rows, row, column, terms.name, CAR_TENANT_NAME_MAX) ||
        !car_tenant_name_ok(car_span_cstr(terms.name)) || !car_tenant_limits_take(&terms.limits, limits)) {
        return CAR_EINVAL;
    }
    return any ? car_tenant_set_terms(tenant, reader, &terms) : 0;
}

static int take_key(const PGresult *rows, int row, struct car_feed *feed) {
    struct car_account_key key = {0};
    struct car_span digest = car_pg_column(rows, row, DIGEST);
    int64_t scopes = car_pg_column_number(rows, row, SCOPES);
    if (!take_text(rows, row, KID, key.kid, CAR_ACCOUNT_KID_LEN) ||
        !take_text(rows, row, TENANT, key.tenant, CAR_TENANT_ID_MAX) ||
        !take_text(rows, row, PREFIX, key.prefix, CAR_ACCOUNT_PREFIX_MAX) || digest.len != sizeof key.digest ||
        scopes < 0 || scopes > UINT32_MAX) {
        return CAR_EINVAL;
    }
    memcpy(key.digest, digest.ptr, sizeof key.digest);
    key.scopes = (uint32_t)scopes;
    key.created_ms = car_pg_column_number(rows, row, CREATED);
    if (feed->key) {
        feed->key(feed->key_user, &key);
    }
    return 0;
}

int car_pg_accounts_keys(struct car_pg *pg, struct car_feed *feed) {
    PGresult *rows = car_pg_query(pg, KEYS, NULL);
    int err = rows ? 0 : CAR_ESYS;
    for (int i = 0; rows && i < PQntuples(rows) && !err; i++) {
        err = take_key(rows, i, feed);
    }
    PQclear(rows);
    return err;
}
