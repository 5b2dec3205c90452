#include "postgres_undo.h"

#include <stddef.h>

#include "carillon/base/err.h"

#include "postgres_db.h"

static const char EVENTS[] =
    "WITH back AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS t(n, newest)),"
    " gone AS (DELETE FROM carillon.events e USING back WHERE e.tenant = back.n AND e.seq > back.newest"
    " RETURNING e.tenant, e.type),"
    " less AS (SELECT tenant, type, count(*) AS count FROM gone GROUP BY tenant, type)"
    " UPDATE carillon.types t SET count = t.count - less.count FROM less"
    " WHERE t.tenant = less.tenant AND t.type = less.type";
static const char REPEATS[] = "DELETE FROM carillon.idempotency i USING unnest($1::bigint[], $2::bigint[])"
                              " AS t(n, newest) WHERE i.tenant = t.n AND i.first > t.newest";
static const char NEWEST[] = "UPDATE carillon.tenants SET newest = t.newest"
                             " FROM unnest($1::bigint[], $2::bigint[]) AS t(n, newest) WHERE tenants.n = t.n";

/* $1 those that were changed. */
static const char NO_KEYS[] = "DELETE FROM carillon.keys WHERE tenant = ANY ($1::bigint[])";
static const char KEYS[] =
    "INSERT INTO carillon.keys SELECT * FROM carillon.keys_before WHERE tenant = ANY ($1::bigint[])";
static const char TERMS[] =
    "UPDATE carillon.tenants AS t SET removed = false, name = coalesce(b.name, ''), events = coalesce(b.events, 0),"
    " events_window_ms = coalesce(b.events_window_ms, 0), bytes_s = coalesce(b.bytes_s, 0),"
    " connections = coalesce(b.connections, 0), message_bytes = coalesce(b.message_bytes, 0),"
    " buffer_events = coalesce(b.buffer_events, 0), retention_ms = coalesce(b.retention_ms, 0),"
    " retention_count = coalesce(b.retention_count, 0)"
    " FROM unnest($1::bigint[]) AS c(n) LEFT JOIN carillon.tenants_before AS b ON b.n = c.n WHERE t.n = c.n";

/* Where the events stay, so does a row that came with some. */
static const char FRESH[] = "DELETE FROM carillon.tenants WHERE n = ANY ($1::bigint[]) AND newest = 0";
static const char MARK[] = "UPDATE carillon.log SET mark = $1";

void car_pg_undo_clear(struct car_pg_undo *undo) {
    car_pg_array_clear(&undo->tenants, CAR_PG_NUMBER);
    car_pg_array_clear(&undo->newest, CAR_PG_NUMBER);
    car_pg_array_clear(&undo->fresh, CAR_PG_NUMBER);
    car_pg_array_clear(&undo->changed, CAR_PG_NUMBER);
    undo->changes = false;
}

void car_pg_undo_put(struct car_pg_undo *undo, int64_t n, uint64_t newest, bool rooted, bool changed) {
    car_pg_array_number(&undo->tenants, n);
    car_pg_array_number(&undo->newest, (int64_t)newest);
    if (!rooted) {
        car_pg_array_number(&undo->fresh, n);
    }
    if (changed) {
        car_pg_array_number(&undo->changed, n);
        undo->changes = true;
    }
}

bool car_pg_undo_is_whole(struct car_pg_undo *undo) {
    if (undo->tenants.failed || undo->newest.failed || undo->fresh.failed || undo->changed.failed) {
        car_pg_undo_free(undo);
        return false;
    }
    return true;
}

int car_pg_undo_run(const struct car_pg_undo *undo, struct car_pg *pg, bool events, uint64_t mark) {
    struct car_pg_args all = {0};
    struct car_pg_args changed = {0};
    struct car_pg_args fresh = {0};
    struct car_pg_args former = {0};
    car_pg_value(&all, CAR_PG_NUMBERS, car_buf_view(&undo->tenants));
    car_pg_value(&all, CAR_PG_NUMBERS, car_buf_view(&undo->newest));
    car_pg_value(&changed, CAR_PG_NUMBERS, car_buf_view(&undo->changed));
    car_pg_value(&fresh, CAR_PG_NUMBERS, car_buf_view(&undo->fresh));
    car_pg_number(&former, (int64_t)mark);
    const struct {
        const char *sql;
        const struct car_pg_args *args;
        bool wanted;
    } steps[] = {
        {"BEGIN", NULL, true},
        {EVENTS, &all, events},
        {REPEATS, &all, events},
        {NEWEST, &all, events},
        {NO_KEYS, &changed, undo->changes},
        {KEYS, &changed, undo->changes},
        {TERMS, &changed, undo->changes},
        {FRESH, &fresh, true},
        {MARK, &former, true},
        {"COMMIT", NULL, true},
    };
    int err = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && !err; i++) {
        err = steps[i].wanted ? car_pg_send(pg, steps[i].sql, steps[i].args) : 0;
    }
    return err ? err : car_pg_finish(pg, NULL);
}

void car_pg_undo_free(struct car_pg_undo *undo) {
    car_buf_free(&undo->tenants);
    car_buf_free(&undo->newest);
    car_buf_free(&undo->fresh);
    car_buf_free(&undo->changed);
}
