#include "postgres_keys.h"

#include <stdbool.h>
#include <stdio.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/repeat.h"
#include "carillon/feed/tenant.h"

#include "group.h"
#include "postgres_row.h"

/* OFFSET 0: each row of the arrays leads to a look into the primary key, whatever is believed of the tables' sizes. */
const char car_pg_keys_find[] =
    "SELECT a.at, i.body, i.first, i.count FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS a(tenant, key, at)"
    " CROSS JOIN LATERAL (SELECT body, first, count FROM carillon.idempotency"
    " WHERE tenant = a.tenant AND key = a.key AND at_ms > $3::bigint OFFSET 0) AS i";
const char car_pg_keys_replay[] =
    "SELECT w.at, w.first, e.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])"
    " AS w(tenant, first, count, at) CROSS JOIN LATERAL (SELECT " CAR_PG_ROW " FROM carillon.events"
    " WHERE tenant = w.tenant AND seq BETWEEN w.first AND w.first + w.count - 1 ORDER BY seq OFFSET 0) AS e"
    " ORDER BY w.at, e.seq";
/* A key that is there twice is the later one's. */
const char car_pg_keys_put[] =
    "INSERT INTO carillon.idempotency (tenant, key, body, first, count, at_ms)"
    " SELECT DISTINCT ON (tenant, key) * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[],"
    " $5::bigint[], $6::bigint[]) AS k(tenant, key, body, first, count, at_ms) ORDER BY tenant, key, first DESC"
    " ON CONFLICT (tenant, key) DO UPDATE SET body = excluded.body, first = excluded.first, count = excluded.count,"
    " at_ms = excluded.at_ms";
const char car_pg_keys_expire[] =
    "DELETE FROM carillon.idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM carillon.idempotency"
    " WHERE at_ms <= $1::bigint ORDER BY at_ms LIMIT $2::bigint))";

enum { FOUND_AT, FOUND_BODY, FOUND_FIRST, FOUND_COUNT };
enum { EVENT_AT, EVENT_FIRST, EVENT_ROW };

static int out_of_memory(struct car_pg *pg) {
    snprintf(pg->why, sizeof pg->why, "out of memory");
    return CAR_ENOMEM;
}

/* The arrays as arguments; one that has failed is empty from now on. */
static int add(struct car_pg_args *args, enum car_pg_type type, struct car_buf *array) {
    if (array->failed) {
        car_buf_free(array);
        return CAR_ENOMEM;
    }
    car_pg_value(args, type, car_buf_view(array));
    return 0;
}

static int put_tenant(struct car_buf *array, struct car_numbered *tenants, const struct car_tenant *tenant) {
    uint32_t at = 0;
    int err = car_numbered_get(tenants, tenant, &at);
    if (!err) {
        car_pg_array_number(array, tenants->items[at].n);
    }
    return err;
}

/* What the database has of the keys; NULL where that fails. */
static PGresult *find(struct car_pg_keys *keys, struct car_pg *pg, struct car_numbered *tenants,
                      struct car_publish *const *publishes, size_t count, int64_t since_ms) {
    struct car_pg_args args = {0};
    PGresult *found = NULL;
    int err = 0;
    car_pg_array_clear(&keys->tenants, CAR_PG_NUMBER);
    car_pg_array_clear(&keys->digests, CAR_PG_BYTES);
    for (size_t i = 0; i < count && !err; i++) {
        err = put_tenant(&keys->tenants, tenants, publishes[i]->tenant);
        car_pg_array_put(&keys->digests, publishes[i]->key->key, sizeof publishes[i]->key->key);
    }
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->tenants);
    err = err ? err : add(&args, CAR_PG_BYTE_STRINGS, &keys->digests);
    if (err) {
        (void)out_of_memory(pg);
        return NULL;
    }
    car_pg_number(&args, since_ms);
    unsigned from = pg->sent;
    err = car_pg_send_prepared(pg, "find keys", &args);
    err = err ? err : car_pg_finish_from(pg, from, &found);
    if (err) {
        PQclear(found);
        found = NULL;
    }
    return found;
}

static struct car_publish *place(const PGresult *rows, int row, struct car_publish *const *publishes, size_t count) {
    int64_t at = car_pg_column_number(rows, row, 0); /* from 1 on */
    return at >= 1 && (uint64_t)at <= count ? publishes[at - 1] : NULL;
}

/* Decides about a publish whose key was found. Whether it is a repeat. */
static bool fits(struct car_publish *publish, const PGresult *found, int row) {
    struct car_span body = car_pg_column(found, row, FOUND_BODY);
    int64_t first = car_pg_column_number(found, row, FOUND_FIRST);
    int64_t count = car_pg_column_number(found, row, FOUND_COUNT);
    /* What is gone, or going, is not known any more. */
    return body.len == sizeof publish->key->body && count >= 1 && count <= CAR_PUBLISH_MAX && first >= 1 &&
           (uint64_t)first > car_tenant_forgotten(publish->tenant) &&
           car_repeat_fits(publish, (const uint8_t *)body.ptr, (uint32_t)count);
}

/* Sorts out those that are repeats. How many there are; CAR_ENOMEM. */
static int decide(struct car_pg_keys *keys, struct car_numbered *tenants, struct car_publish *const *publishes,
                  size_t count, const PGresult *found) {
    int repeats = 0;
    int err = 0;
    car_pg_array_clear(&keys->tenants, CAR_PG_NUMBER);
    car_pg_array_clear(&keys->firsts, CAR_PG_NUMBER);
    car_pg_array_clear(&keys->counts, CAR_PG_NUMBER);
    car_pg_array_clear(&keys->places, CAR_PG_NUMBER);
    for (int row = 0; row < PQntuples(found) && !err; row++) {
        struct car_publish *publish = place(found, row, publishes, count);
        if (publish && fits(publish, found, row)) {
            err = put_tenant(&keys->tenants, tenants, publish->tenant);
            car_pg_array_number(&keys->firsts, car_pg_column_number(found, row, FOUND_FIRST));
            car_pg_array_number(&keys->counts, publish->count);
            car_pg_array_number(&keys->places, car_pg_column_number(found, row, FOUND_AT));
            repeats++;
        }
    }
    return err ? err : repeats;
}

static void let_go(struct car_pg_keys *keys, uint32_t count) {
    while (count > 0) {
        car_event_unref(&keys->events[--count]);
    }
}

/* Goes through a publish's rows, which begin at *row, and leaves *row behind them. The publish is no repeat where they
 * are not all there. 0; CAR_ENOMEM. */
static int replay(struct car_pg_keys *keys, struct car_publish *const *publishes, size_t count, const PGresult *rows,
                  int *row) {
    struct car_publish *publish = place(rows, *row, publishes, count);
    int64_t at = car_pg_column_number(rows, *row, EVENT_AT);
    uint64_t first = (uint64_t)car_pg_column_number(rows, *row, EVENT_FIRST);
    struct car_event_row event;
    uint32_t read = 0;
    int err = 0;
    for (; *row < PQntuples(rows) && car_pg_column_number(rows, *row, EVENT_AT) == at; ++*row) {
        if (!err && publish && read < publish->count && car_pg_row(rows, *row, EVENT_ROW, &event) == 0 &&
            event.seq == first + read) {
            keys->events[read] = car_event_restore(publish->tenant, &event);
            err = keys->events[read] ? 0 : CAR_ENOMEM;
            read += !err;
        }
    }
    if (!err && publish && read == publish->count) {
        car_repeat_replay(publish, keys->events);
    }
    let_go(keys, read);
    return err;
}

/* The second round trip: their events. */
static int replay_all(struct car_pg_keys *keys, struct car_pg *pg, struct car_publish *const *publishes, size_t count) {
    struct car_pg_args args = {0};
    PGresult *rows = NULL;
    int row = 0;
    int err = add(&args, CAR_PG_NUMBERS, &keys->tenants);
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->firsts);
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->counts);
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->places);
    if (err) {
        return out_of_memory(pg);
    }
    err = car_pg_send_prepared(pg, "replay", &args);
    err = err ? err : car_pg_finish(pg, &rows);
    while (!err && row < PQntuples(rows)) {
        err = replay(keys, publishes, count, rows, &row);
        err = err ? out_of_memory(pg) : 0;
    }
    PQclear(rows);
    return err;
}

int car_pg_keys_recall(struct car_pg_keys *keys, struct car_pg *pg, struct car_numbered *tenants,
                       struct car_publish *const *publishes, size_t count, int64_t since_ms) {
    PGresult *found = find(keys, pg, tenants, publishes, count, since_ms);
    if (!found) {
        return CAR_ESYS;
    }
    int repeats = decide(keys, tenants, publishes, count, found);
    PQclear(found);
    if (repeats < 0) {
        return out_of_memory(pg);
    }
    return repeats ? replay_all(keys, pg, publishes, count) : 0;
}

/* Storing. */

int car_pg_keys_send(struct car_pg_keys *keys, struct car_pg *pg, struct car_numbered *tenants,
                     const struct car_rows_key *rows, size_t count) {
    struct car_pg_args args = {0};
    int err = 0;
    car_pg_array_clear(&keys->tenants, CAR_PG_NUMBER);
    car_pg_array_clear(&keys->digests, CAR_PG_BYTES);
    car_pg_array_clear(&keys->bodies, CAR_PG_BYTES);
    car_pg_array_clear(&keys->firsts, CAR_PG_NUMBER);
    car_pg_array_clear(&keys->counts, CAR_PG_NUMBER);
    car_pg_array_clear(&keys->times, CAR_PG_NUMBER);
    for (size_t i = 0; i < count && !err; i++) {
        err = put_tenant(&keys->tenants, tenants, rows[i].tenant);
        car_pg_array_put(&keys->digests, rows[i].key.key, sizeof rows[i].key.key);
        car_pg_array_put(&keys->bodies, rows[i].key.body, sizeof rows[i].key.body);
        car_pg_array_number(&keys->firsts, (int64_t)rows[i].first);
        car_pg_array_number(&keys->counts, rows[i].count);
        car_pg_array_number(&keys->times, rows[i].at_ms);
    }
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->tenants);
    err = err ? err : add(&args, CAR_PG_BYTE_STRINGS, &keys->digests);
    err = err ? err : add(&args, CAR_PG_BYTE_STRINGS, &keys->bodies);
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->firsts);
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->counts);
    err = err ? err : add(&args, CAR_PG_NUMBERS, &keys->times);
    return err ? out_of_memory(pg) : car_pg_send_prepared(pg, "put keys", &args);
}

int car_pg_keys_send_expire(struct car_pg *pg, int64_t since_ms, size_t max) {
    struct car_pg_args args = {0};
    car_pg_number(&args, since_ms);
    car_pg_number(&args, (int64_t)max);
    return car_pg_send_prepared(pg, "expire keys", &args);
}

void car_pg_keys_free(struct car_pg_keys *keys) {
    struct car_buf *const arrays[] = {&keys->tenants, &keys->digests, &keys->bodies, &keys->firsts,
                                      &keys->counts,  &keys->times,   &keys->places};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        car_buf_free(arrays[i]);
    }
}
