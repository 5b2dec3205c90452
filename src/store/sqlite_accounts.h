#ifndef CARILLON_STORE_SQLITE_ACCOUNTS_H
#define CARILLON_STORE_SQLITE_ACCOUNTS_H

#include <sqlite3.h>
#include <stdint.h>

struct car_feed;
struct car_log_change;
struct car_numbered;
struct car_reader;
struct car_sqlite_db;
struct car_tenant;

#define CAR_SQLITE_ACCOUNT_STATEMENTS 6

/* What a row of `tenants` says of terms, in the order in which it is read. */
#define CAR_SQLITE_TERMS                                                                                               \
    "name, terms_sum, events, events_window_ms, bytes_s, connections, message_bytes, buffer_events, retention_ms,"     \
    " retention_count"

/* Changes of tenants and keys, over the connection that writes. The log's thread's. */
struct car_sqlite_accounts {
    struct car_sqlite_db *db;
    sqlite3_stmt *statements[CAR_SQLITE_ACCOUNT_STATEMENTS];
};

/* 0; CAR_ESYS, and db->why says what is wrong. */
int car_sqlite_accounts_open(struct car_sqlite_accounts *accounts, struct car_sqlite_db *db);

/* Before the database is closed. Harmless where nothing was opened. */
void car_sqlite_accounts_close(struct car_sqlite_accounts *accounts);

/* Stores a change, within a transaction. *n: the tenant's number. */
int car_sqlite_accounts_change(struct car_sqlite_accounts *accounts, struct car_numbered *numbered,
                               const struct car_log_change *change, int64_t *n);

/* Gives a tenant the terms that stand in a statement's row, from that column on. 0; CAR_ENOMEM; CAR_EINVAL where they
 * are not what was stored. */
int car_sqlite_accounts_terms(sqlite3_stmt *row, int at, struct car_tenant *tenant, struct car_reader *reader);

/* Tells the feed of all keys. 0; CAR_ESYS; CAR_EINVAL where one is not what was stored. */
int car_sqlite_accounts_keys(struct car_sqlite_db *db, struct car_feed *feed);

#endif
