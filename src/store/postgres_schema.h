#ifndef CARILLON_STORE_POSTGRES_SCHEMA_H
#define CARILLON_STORE_POSTGRES_SCHEMA_H

#include <stdint.h>

struct car_pg;

/* Of the schema: what is understood, and what a database says of itself until it holds a traceparent. The same is said
 * of an SQLite database (sqlite_schema.h). */
#define CAR_PG_VERSION       4
#define CAR_PG_VERSION_FIRST 3

/* Says that it holds one, in the transaction that puts it there. */
#define CAR_PG_SAY_TRACED "INSERT INTO carillon.versions (version) VALUES (4) ON CONFLICT (version) DO NOTHING"

/* What is in the database. */
enum car_pg_state {
    CAR_PG_EMPTY,   /* nothing of ours */
    CAR_PG_OLDER,   /* ours, to be brought up to date */
    CAR_PG_CURRENT, /* ours */
    CAR_PG_NEWER,   /* a newer Carillon's */
    CAR_PG_FOREIGN, /* another program's */
};

/* Looks, and changes nothing. 0; CAR_ESYS. */
int car_pg_schema_look(struct car_pg *pg, enum car_pg_state *state, unsigned *version);

/* Brings what is of version `from` (0: it is empty) up to date, all of it or nothing. 0; CAR_ESYS. */
int car_pg_schema_update(struct car_pg *pg, unsigned from);

#endif
