#ifndef CARILLON_STORE_POSTGRES_ACCOUNTS_H
#define CARILLON_STORE_POSTGRES_ACCOUNTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct car_feed;
struct car_log_change;
struct car_pg;
struct car_reader;
struct car_tenant;

/* What a row of `tenants` says of terms, in the order in which it is read. */
#define CAR_PG_TERMS                                                                                                   \
    "name, events, events_window_ms, bytes_s, connections, message_bytes, buffer_events, retention_ms, "               \
    "retention_count"

/* What a PostgreSQL database has of tenants and keys. The first three only send, within a transaction that was begun;
 * they are the log's thread's. */

/* Drops the copies that a former transaction has made (postgres_undo.h): how it ended is known. */
int car_pg_accounts_send_forget(struct car_pg *pg);

/* Before the first change of a tenant, which has that number: copies what it has, and makes its row where it has none.
 */
int car_pg_accounts_send_before(struct car_pg *pg, const struct car_tenant *tenant, int64_t n, uint64_t newest);

/* The change. */
int car_pg_accounts_send(struct car_pg *pg, const struct car_log_change *change, int64_t n);

/* Gives a tenant the terms that stand in a row, from that column on. 0; CAR_ENOMEM; CAR_EINVAL where they are none. */
int car_pg_accounts_terms(const PGresult *rows, int row, int column, struct car_tenant *tenant,
                          struct car_reader *reader);

/* Tells the feed of all keys. 0; CAR_ESYS; CAR_EINVAL where one is none. */
int car_pg_accounts_keys(struct car_pg *pg, struct car_feed *feed);

#endif
