#ifndef CARILLON_STORE_POSTGRES_DB_H
#define CARILLON_STORE_POSTGRES_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * A connection to a PostgreSQL server, of one thread. It is in pipeline mode: statements are sent, and car_pg_finish
 * waits for all of them. Nothing waits longer than `patience_ms`: a connection that has no answer by then is given up.
 */
struct car_pg {
    PGconn *conn; /* NULL while there is none */
    PostgresPollingStatusType next;
    bool connected;
    uint64_t give_up;     /* while connecting: car_clock_mono_us */
    unsigned patience_ms; /* for an answer */
    unsigned sent;        /* statements since the last car_pg_finish */
    char why[240];        /* the last failure, in one line without a secret */
    char state[6];        /* its SQLSTATE; empty where it has none */
};

/* The types' OIDs (pg_type.dat), which never change. */
enum car_pg_type {
    CAR_PG_BYTES = 17,
    CAR_PG_NUMBER = 20,
    CAR_PG_TEXT = 25,
    CAR_PG_UUID = 2950,
    CAR_PG_QUERY = 3615,
    CAR_PG_BYTE_STRINGS = 1001,
    CAR_PG_TEXTS = 1009,
    CAR_PG_NUMBERS = 1016,
    CAR_PG_UUIDS = 2951,
};

#define CAR_PG_ARGS_MAX 8

/* What stands for $1, $2 … in a statement. Zero-initialise, then add; what is added is borrowed until it is sent. */
struct car_pg_args {
    int count;
    Oid types[CAR_PG_ARGS_MAX];
    const char *values[CAR_PG_ARGS_MAX];
    int lengths[CAR_PG_ARGS_MAX];
    int formats[CAR_PG_ARGS_MAX];
    uint64_t numbers[CAR_PG_ARGS_MAX];
};

void car_pg_number(struct car_pg_args *args, int64_t number);

/* In the type's binary form: of a text, its bytes; the absent span for NULL. */
void car_pg_value(struct car_pg_args *args, enum car_pg_type type, struct car_span bytes);

/* In the type's textual form, NUL-terminated; NULL for NULL. */
void car_pg_literal(struct car_pg_args *args, enum car_pg_type type, const char *text);

/* An array of one dimension, in binary form; its elements are of that type. */
void car_pg_array_clear(struct car_buf *array, enum car_pg_type element);
void car_pg_array_put(struct car_buf *array, const void *bytes, size_t len);
void car_pg_array_number(struct car_buf *array, int64_t number);

/* Begins to connect. 0, or CAR_ESYS. */
int car_pg_start(struct car_pg *pg, const char *uri);

/* Goes on with that for at most so long. 0: it is connected. CAR_EFULL: not yet. CAR_ESYS: it failed, and is closed. */
int car_pg_connect(struct car_pg *pg, unsigned wait_ms);

/* Both, with an end. 0, or CAR_ESYS. */
int car_pg_open(struct car_pg *pg, const char *uri);

/* Looks, without waiting, whether the connection is there; closes it where it is not. */
bool car_pg_is_well(struct car_pg *pg);

/* Harmless when repeated. What was sent and not finished may have been done or not. */
void car_pg_close(struct car_pg *pg);

/* Sends a statement; its results come in binary form. 0, or CAR_ESYS. */
int car_pg_send(struct car_pg *pg, const char *sql, const struct car_pg_args *args);

/* The same with one that was prepared under that name. */
int car_pg_send_prepared(struct car_pg *pg, const char *name, const struct car_pg_args *args);

/* Prepares one. */
int car_pg_send_prepare(struct car_pg *pg, const char *name, const char *sql);

/* Waits until all that was sent is done. Where one fails, those after it were not tried; the transaction is then to be
 * ended with car_pg_rollback, if the connection is still there. The results, unless NULL, get those of the statements,
 * to be cleared by the caller in any case. 0, or CAR_ESYS. */
int car_pg_finish(struct car_pg *pg, PGresult **results);

/* The same, where only those that follow the first `from` statements have results that are wanted. */
int car_pg_finish_from(struct car_pg *pg, unsigned from, PGresult **results);

/* Nothing of what was sent is to be there. Gives the connection up where that cannot be had. */
void car_pg_rollback(struct car_pg *pg);

/* Several statements, of ours alone. Nothing was sent that is not finished. 0, or CAR_ESYS. */
int car_pg_exec(struct car_pg *pg, const char *sql);

/* One statement and its rows, to be cleared; NULL where it fails. */
PGresult *car_pg_query(struct car_pg *pg, const char *sql, const struct car_pg_args *args);

/* A column of a row, valid as long as the result. */
struct car_span car_pg_column(const PGresult *result, int row, int column);
int64_t car_pg_column_number(const PGresult *result, int row, int column);
bool car_pg_column_bool(const PGresult *result, int row, int column);

#endif
