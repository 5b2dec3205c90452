#include "carillon/store/postgres.h"

#include <stdio.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"

#include "postgres_accounts.h"
#include "postgres_reader.h"
#include "postgres_rows.h"
#include "postgres_uri.h"

/* Threads that read pages. */
#define READERS 2u

/* What a former process has left. */

struct restoring {
    struct car_pg_rows *postgres;
    struct car_feed *feed;
    struct car_reader *reader;
    const char *what; /* is wrong; NULL: what the connection says */
};

static int restore_log(struct restoring *r) {
    PGresult *result = car_pg_query(&r->postgres->session.pg, "SELECT id_key FROM carillon.log", NULL);
    int err = result ? 0 : CAR_ESYS;
    if (result && (PQntuples(result) != 1 || car_pg_column(result, 0, 0).len != sizeof r->feed->id_key)) {
        r->what = "the database is damaged: the log has no name";
        err = CAR_EINVAL;
    } else if (result) {
        memcpy(&r->feed->id_key, car_pg_column(result, 0, 0).ptr, sizeof r->feed->id_key);
        memcpy(r->feed->epoch, r->postgres->session.epoch, sizeof r->feed->epoch);
    }
    PQclear(result);
    return err;
}

static int restore_tenant(struct restoring *r, const PGresult *rows, int row) {
    struct car_numbered *tenants = &r->postgres->tenants;
    struct car_tenant *tenant = NULL;
    uint32_t at = 0;
    int err = car_registry_add(r->feed->registry, r->reader, car_pg_column(rows, row, 1), &tenant);
    if (err == CAR_EFULL) {
        r->what = "the database has more tenants than --max-tenants allows";
    } else if (err == CAR_EINVAL || err == CAR_EEXIST) {
        r->what = "the database is damaged: a tenant is there twice, or is none";
    }
    err = err ? err : car_numbered_put(tenants, tenant, car_pg_column_number(rows, row, 0));
    err = err ? err : car_numbered_get(tenants, tenant, &at);
    if (!err) {
        uint64_t newest = (uint64_t)car_pg_column_number(rows, row, 2);
        car_tenant_restore(tenant, newest, (uint64_t)car_pg_column_number(rows, row, 3),
                           car_pg_column_number(rows, row, 4), car_pg_column_number(rows, row, 5));
        tenants->items[at].newest = newest;
        tenants->items[at].rooted = true;
        err = car_pg_accounts_terms(rows, row, 6, tenant, r->reader);
        if (err == CAR_EINVAL) {
            r->what = "the database is damaged: what a tenant may is not what was stored";
        }
    }
    return err;
}

/* What is left of removed ones has its numbers yet, and its rows go by themselves. */
static int reserve_numbers(struct restoring *r) {
    PGresult *result = car_pg_query(&r->postgres->session.pg, "SELECT max(n) FROM carillon.tenants", NULL);
    int err = result ? 0 : CAR_ESYS;
    if (result) {
        car_numbered_reserve(&r->postgres->tenants, car_pg_column_number(result, 0, 0)); /* 0 where it is NULL */
    }
    PQclear(result);
    return err;
}

static int restore_keys(struct restoring *r) {
    int err = car_pg_accounts_keys(&r->postgres->session.pg, r->feed);
    if (err == CAR_EINVAL) {
        r->what = "the database is damaged: a key is not what was stored";
    }
    return err;
}

static int restore(struct restoring *r) {
    static const char TENANTS[] =
        "SELECT n, id, newest, forgotten, created_ms, salt, " CAR_PG_TERMS " FROM carillon.tenants"
        " WHERE NOT removed ORDER BY n";
    int err = restore_log(r);
    PGresult *rows = err ? NULL : car_pg_query(&r->postgres->session.pg, TENANTS, NULL);
    err = err || rows ? err : CAR_ESYS;
    for (int i = 0; rows && i < PQntuples(rows) && !err; i++) {
        err = restore_tenant(r, rows, i);
    }
    PQclear(rows);
    err = err ? err : reserve_numbers(r);
    return err ? err : restore_keys(r);
}

/* NULL where there is no memory, or no thread. */
static struct car_pages *open_pages(struct car_reclaim *reclaim, const char *uri) {
    void *readers[READERS];
    unsigned n = 0;
    while (n < READERS && (readers[n] = car_pg_reader_open(uri))) {
        n++;
    }
    struct car_pages *pages = n == READERS ? car_pages_open(reclaim, &car_pg_reader_ops, readers, READERS) : NULL;
    for (; !pages && n > 0; n--) {
        car_pg_reader_ops.free(readers[n - 1]);
    }
    return pages;
}

int car_log_postgres(struct car_feed *feed, struct car_reclaim *reclaim, struct car_reader *reader,
                     const struct car_postgres_config *config, struct car_log **out, char *why, size_t size) {
    struct car_pg_rows *postgres = car_pg_rows_new(config->uri, config->relaxed);
    struct restoring restoring = {.postgres = postgres, .feed = feed, .reader = reader};
    char name[160];
    if (!postgres) {
        snprintf(why, size, "out of memory");
        return CAR_ENOMEM;
    }
    int err = car_pg_session_open(&postgres->session);
    err = err ? err : restore(&restoring);
    err = err ? err : car_pg_rows_ready(postgres);
    if (!err) {
        postgres->upkeep = car_pg_upkeep_open(feed, reclaim, &postgres->session, config);
        err = postgres->upkeep ? 0 : CAR_ENOMEM;
    }
    struct car_pages *pages = err ? NULL : open_pages(reclaim, postgres->uri);
    struct car_log *log = pages ? car_group_open(feed, reclaim, &postgres->rows, pages, config->relaxed) : NULL;
    if (!log) {
        if (pages) {
            car_pages_close(&pages);
        }
        car_pg_name(config->uri, name, sizeof name);
        snprintf(why, size, "%s: %s", name,
                 restoring.what                         ? restoring.what
                 : err == CAR_ESYS || err == CAR_EINVAL ? postgres->session.pg.why
                                                        : "out of memory");
        postgres->rows.ops->free(&postgres->rows);
        return err ? err : CAR_ENOMEM;
    }
    *out = log;
    return 0;
}
