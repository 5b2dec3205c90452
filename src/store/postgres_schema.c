#include "postgres_schema.h"

#include <stdio.h>

#include "carillon/base/clock.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"

#include "postgres_db.h"

/* What leads from each version to the next. Never changed once it was released: what is missing is the next one's.
 * What SQLite has as foreign keys is left out: they would cost a lookup and a row lock an event, and there is one
 * writer, which keeps to them. Texts that are compared are compared as bytes, whatever the C library knows of
 * languages. */
static const char *const STEPS[CAR_PG_VERSION_FIRST] = {
    /* 1. A tenant's row is there from its first event on; `newest` is kept in the same transaction as the events. A row
     * of `events` is what the event's JSON is made of (car_event_row), and what is searched (postgres_words.h).
     * `mark` is another one after each transaction. */
    "CREATE TABLE carillon.log (epoch text NOT NULL, created_ms bigint NOT NULL, mark bigint NOT NULL DEFAULT 0)"
    " WITH (fillfactor = 50);"
    "CREATE TABLE carillon.tenants (n bigint PRIMARY KEY, id text COLLATE \"C\" NOT NULL UNIQUE,"
    " created_ms bigint NOT NULL, newest bigint NOT NULL) WITH (fillfactor = 50);"
    "CREATE TABLE carillon.events (tenant bigint NOT NULL, seq bigint NOT NULL, id uuid NOT NULL,"
    " wall_ms bigint NOT NULL, type text COLLATE \"C\" NOT NULL, content text COLLATE \"C\" NOT NULL,"
    " words tsvector NOT NULL, PRIMARY KEY (tenant, seq));"
    "CREATE INDEX events_words ON carillon.events USING gin (words) WITH (fastupdate = on);",

    /* 2. The key of the events' ids (car_event_key). Seqs up to `forgotten` are gone, or going. `types` counts the
     * events that are there. `idempotency` has digests (SHA-256) of keys and bodies, and which events they led to. */
    "ALTER TABLE carillon.log ADD COLUMN id_key bytea NOT NULL DEFAULT '';"
    "UPDATE carillon.log SET id_key = uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());"
    "ALTER TABLE carillon.tenants ADD COLUMN forgotten bigint NOT NULL DEFAULT 0;"
    "CREATE TABLE carillon.types (tenant bigint NOT NULL, type text COLLATE \"C\" NOT NULL, count bigint NOT NULL,"
    " PRIMARY KEY (tenant, type)) WITH (fillfactor = 50);"
    "INSERT INTO carillon.types SELECT tenant, type, count(*) FROM carillon.events GROUP BY tenant, type;"
    "CREATE TABLE carillon.idempotency (tenant bigint NOT NULL, key bytea NOT NULL, body bytea NOT NULL,"
    " first bigint NOT NULL, count bigint NOT NULL, at_ms bigint NOT NULL, PRIMARY KEY (tenant, key));"
    "CREATE INDEX idempotency_at ON carillon.idempotency (at_ms);",

    /* 3. A tenant that is `removed` is gone for everybody, its row until all that it had is deleted; so an id is unique
     * among the others. What it is called, and its limits, 0 being the default; `salt` goes into its events' ids. Rows
     * of `keys` have digests (SHA-256) only. What the last change has put something else in the place of is in the
     * tables of `before`, until it is known that it was heard of (postgres_undo.h). */
    "ALTER TABLE carillon.tenants DROP CONSTRAINT tenants_id_key;"
    "ALTER TABLE carillon.tenants ADD COLUMN removed boolean NOT NULL DEFAULT false,"
    " ADD COLUMN name text COLLATE \"C\" NOT NULL DEFAULT '', ADD COLUMN events bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN events_window_ms bigint NOT NULL DEFAULT 0, ADD COLUMN bytes_s bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN connections bigint NOT NULL DEFAULT 0, ADD COLUMN message_bytes bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN buffer_events bigint NOT NULL DEFAULT 0, ADD COLUMN retention_ms bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN retention_count bigint NOT NULL DEFAULT 0, ADD COLUMN salt bigint NOT NULL DEFAULT 0;"
    "CREATE UNIQUE INDEX tenants_id ON carillon.tenants (id) WHERE NOT removed;"
    "CREATE TABLE carillon.keys (kid text COLLATE \"C\" PRIMARY KEY, tenant bigint NOT NULL, digest bytea NOT NULL,"
    " prefix text COLLATE \"C\" NOT NULL, scopes bigint NOT NULL, created_ms bigint NOT NULL);"
    "CREATE INDEX keys_tenant ON carillon.keys (tenant);"
    "CREATE TABLE carillon.tenants_before (n bigint PRIMARY KEY, name text COLLATE \"C\" NOT NULL,"
    " events bigint NOT NULL, events_window_ms bigint NOT NULL, bytes_s bigint NOT NULL, connections bigint NOT NULL,"
    " message_bytes bigint NOT NULL, buffer_events bigint NOT NULL, retention_ms bigint NOT NULL,"
    " retention_count bigint NOT NULL);"
    "CREATE TABLE carillon.keys_before (LIKE carillon.keys);"
    "CREATE INDEX keys_before_tenant ON carillon.keys_before (tenant);",
};

/* 4. A traceparent (proto/traceparent.h), NULL where there is none. In every database, and perhaps already. */
static const char ADD_TRACEPARENT[] =
    "ALTER TABLE carillon.events ADD COLUMN IF NOT EXISTS traceparent text COLLATE \"C\"";

static const char LOOK[] = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'carillon'),"
                           " EXISTS (SELECT FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace"
                           " WHERE s.nspname = 'carillon'),"
                           " to_regclass('carillon.versions') IS NOT NULL AND to_regclass('carillon.log') IS NOT NULL";

static const char VERSION[] = "SELECT coalesce(max(version), 0)::bigint, EXISTS (SELECT FROM pg_attribute"
                              " WHERE attrelid = to_regclass('carillon.events') AND attname = 'traceparent')"
                              " FROM carillon.versions";

int car_pg_schema_look(struct car_pg *pg, enum car_pg_state *state, unsigned *version) {
    PGresult *result = car_pg_query(pg, LOOK, NULL);
    if (!result) {
        return CAR_ESYS;
    }
    bool used = car_pg_column_bool(result, 0, 1);
    bool ours = car_pg_column_bool(result, 0, 2);
    PQclear(result);
    *version = 0;
    if (!ours) {
        *state = used ? CAR_PG_FOREIGN : CAR_PG_EMPTY;
        return 0;
    }
    result = car_pg_query(pg, VERSION, NULL);
    if (!result) {
        return CAR_ESYS;
    }
    int64_t number = car_pg_column_number(result, 0, 0);
    bool traces = car_pg_column_bool(result, 0, 1);
    PQclear(result);
    *version = (unsigned)number;
    *state = number < 1                                 ? CAR_PG_FOREIGN
             : number > CAR_PG_VERSION                  ? CAR_PG_NEWER
             : number < CAR_PG_VERSION_FIRST || !traces ? CAR_PG_OLDER
                                                        : CAR_PG_CURRENT;
    return 0;
}

/* The schema may be there already, made for a role that may make none. */
static int make_schema(struct car_pg *pg) {
    PGresult *result = car_pg_query(pg, LOOK, NULL);
    if (!result) {
        return CAR_ESYS;
    }
    bool there = car_pg_column_bool(result, 0, 0);
    PQclear(result);
    int err = there ? 0 : car_pg_exec(pg, "CREATE SCHEMA carillon");
    return err ? err
               : car_pg_exec(pg, "CREATE TABLE carillon.versions (version integer PRIMARY KEY,"
                                 " at timestamptz NOT NULL DEFAULT now())");
}

/* The log's name, which tells it from all others. */
static int name(struct car_pg *pg) {
    char line[120];
    uint64_t epoch;
    car_random(&epoch, sizeof epoch);
    snprintf(line, sizeof line, "INSERT INTO carillon.log (epoch, created_ms) VALUES ('%016llx', %lld)",
             (unsigned long long)epoch, (long long)car_clock_wall_ms());
    return car_pg_exec(pg, line);
}

int car_pg_schema_update(struct car_pg *pg, unsigned from) {
    char line[80];
    int err = car_pg_exec(pg, "BEGIN");
    err = err || from ? err : make_schema(pg);
    for (unsigned v = from; v < CAR_PG_VERSION_FIRST && !err; v++) {
        err = car_pg_exec(pg, STEPS[v]);
        err = err || v ? err : name(pg);
        snprintf(line, sizeof line, "INSERT INTO carillon.versions (version) VALUES (%u)", v + 1);
        err = err ? err : car_pg_exec(pg, line);
    }
    err = err ? err : car_pg_exec(pg, ADD_TRACEPARENT);
    if (err) {
        car_pg_rollback(pg);
    }
    return err ? err : car_pg_exec(pg, "COMMIT");
}
