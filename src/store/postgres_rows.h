#ifndef CARILLON_STORE_POSTGRES_ROWS_H
#define CARILLON_STORE_POSTGRES_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"

#include "group.h"
#include "numbered.h"
#include "postgres_keys.h"
#include "postgres_session.h"
#include "postgres_upkeep.h"

#define CAR_PG_ARRAYS 13

/* A tenant's share in a transaction. */
struct car_pg_share {
    uint32_t tenant; /* its place in `tenants` */
    uint64_t newest;
    bool changed; /* its terms or keys are */
};

struct car_pg_rows {
    struct car_rows rows; /* first */
    struct car_pg_session session;
    struct car_pg_upkeep *upkeep; /* NULL only while opening */
    const struct car_pg_statement *statements;
    struct car_numbered tenants;
    bool traced; /* this process has said that there are traceparents */
    char *uri;

    /* the transaction */
    uint64_t turn;
    bool begun;   /* the server knows of it */
    bool changes; /* some of it is no events */
    bool copies;  /* of what a former one has changed are there (postgres_accounts.h) */
    bool traces;  /* an event has a traceparent */
    int64_t n;    /* of the tenant whose events come */
    struct car_pg_share *shares;
    uint32_t share_count, share_cap;
    struct car_buf arrays[CAR_PG_ARRAYS]; /* what goes to the server */
    unsigned events;                      /* in the arrays */
    struct car_buf words, lexemes;
    struct car_pg_keys keys;
};

/* What stores in a database of that URI, without a connection yet. NULL without memory. */
struct car_pg_rows *car_pg_rows_new(const char *uri, bool relaxed);

/* Prepares what it sends: all that a former process has left has been read. 0; CAR_ESYS. */
int car_pg_rows_ready(struct car_pg_rows *rows);

#endif
