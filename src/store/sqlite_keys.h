#ifndef CARILLON_STORE_SQLITE_KEYS_H
#define CARILLON_STORE_SQLITE_KEYS_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/feed/publish.h"

struct car_rows_key;
struct car_sqlite_db;

#define CAR_SQLITE_KEY_STATEMENTS 4

/* The keys in the table `idempotency`, over the connection that writes: what car_rows_ops says of them. The log's
 * thread's. */
struct car_sqlite_keys {
    struct car_sqlite_db *db;
    sqlite3_stmt *statements[CAR_SQLITE_KEY_STATEMENTS];
    struct car_event *events[CAR_PUBLISH_MAX]; /* of the repeat that is being looked up */
};

/* 0; CAR_ESYS, and db->why says what is wrong. */
int car_sqlite_keys_open(struct car_sqlite_keys *keys, struct car_sqlite_db *db);

/* Before the database is closed. Harmless where nothing was opened. */
void car_sqlite_keys_close(struct car_sqlite_keys *keys);

int car_sqlite_keys_recall(struct car_sqlite_keys *keys, struct car_publish *const *publishes, size_t count,
                           int64_t since_ms);
int car_sqlite_keys_remember(struct car_sqlite_keys *keys, const struct car_rows_key *rows, size_t count);
int car_sqlite_keys_expire(struct car_sqlite_keys *keys, int64_t since_ms, size_t max);

#endif
