#include "carillon/store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"

#include "group.h"
#include "numbered.h"
#include "sqlite_accounts.h"
#include "sqlite_db.h"
#include "sqlite_keys.h"
#include "sqlite_reader.h"
#include "sqlite_row.h"
#include "sqlite_schema.h"
#include "sqlite_upkeep.h"

/* Threads that read pages. */
#define READERS 2u

enum statement { BEGIN, TENANT, INSERT, TYPE, LOOK, FIRST_VERSION, VERSION, COMMIT, ROLLBACK, STATEMENTS };

static const char PUT_TENANT[] =
    "INSERT INTO tenants (n, id, created_ms, newest, sum, salt) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    " ON CONFLICT (n) DO UPDATE SET newest = excluded.newest";
static const char PUT_EVENT[] = "INSERT INTO events (tenant, seq, id, wall_ms, type, content, sum, traceparent)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

static const char ADD_TYPE[] = "INSERT INTO types (tenant, type, count) VALUES (?1, ?2, ?3)"
                               " ON CONFLICT (tenant, type) DO UPDATE SET count = count + excluded.count";

static const char GET_TENANTS[] =
    "SELECT n, id, newest, forgotten, created_ms, sum, salt, " CAR_SQLITE_TERMS " FROM tenants WHERE removed = 0";

/* Goes where a tenant's next event would. */
static const char LOOK_AT[] = "SELECT max(e.seq) FROM tenants t LEFT JOIN events e ON e.tenant = t.n AND e.seq >= ?2"
                              " WHERE t.id = ?1 AND t.removed = 0";

static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [TENANT] = PUT_TENANT,
    [INSERT] = PUT_EVENT,
    [TYPE] = ADD_TYPE,
    [LOOK] = LOOK_AT,
    [FIRST_VERSION] = CAR_SQLITE_SAY(CAR_SQLITE_VERSION_FIRST),
    [VERSION] = CAR_SQLITE_SAY(CAR_SQLITE_VERSION),
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

/* How many events of a type have been inserted. */
struct tally {
    struct car_span type; /* an event's, which lives as long as its transaction */
    int64_t count;
};

#define TALLIES 16

struct sqlite {
    struct car_rows rows; /* first */
    struct car_sqlite_db db;
    struct car_upkeep *upkeep; /* NULL only while opening */
    struct car_numbered numbered;
    int64_t n; /* the number of the tenant that is being inserted */
    sqlite3_stmt *statements[STATEMENTS];
    struct car_sqlite_keys keys;
    struct car_sqlite_accounts accounts;
    struct tally tallies[TALLIES]; /* of the tenant that is being inserted, not yet added to its `types` */
    unsigned tally_count;
    bool traced, traces;        /* there are traceparents: in the database; with what is in the transaction */
    char id[CAR_TENANT_ID_MAX]; /* of the last tenant that was written for: what failed, where anything did */
    size_t id_len;
    uint64_t newest; /* of it */
};

static struct sqlite *of_rows(struct car_rows *rows) {
    return (struct sqlite *)rows;
}

/* Storing. */

static int run(struct sqlite *sqlite, enum statement which, const char *what) {
    sqlite3_stmt *statement = sqlite->statements[which];
    int status = SQLITE_ROW;
    while (status == SQLITE_ROW) {
        status = sqlite3_step(statement);
    }
    int err = status == SQLITE_DONE ? 0 : car_sqlite_failed(&sqlite->db, what);
    (void)sqlite3_reset(statement);
    return err;
}

static int begin(struct car_rows *rows) {
    of_rows(rows)->tally_count = 0;
    return run(of_rows(rows), BEGIN, "no transaction begins");
}

static int bind_text(sqlite3_stmt *statement, int at, struct car_span text) {
    return sqlite3_bind_text(statement, at, text.ptr, (int)text.len, SQLITE_STATIC);
}

static int add_types(struct sqlite *sqlite) {
    sqlite3_stmt *statement = sqlite->statements[TYPE];
    int err = 0;
    for (unsigned i = 0; i < sqlite->tally_count && !err; i++) {
        (void)bind_text(statement, 2, sqlite->tallies[i].type);
        (void)sqlite3_bind_int64(statement, 3, sqlite->tallies[i].count);
        err = run(sqlite, TYPE, "types are not counted");
    }
    sqlite->tally_count = 0;
    return err;
}

static int count_type(struct sqlite *sqlite, struct car_span type) {
    for (unsigned i = 0; i < sqlite->tally_count; i++) {
        if (car_span_eq(sqlite->tallies[i].type, type)) {
            sqlite->tallies[i].count++;
            return 0;
        }
    }
    int err = sqlite->tally_count == TALLIES ? add_types(sqlite) : 0;
    sqlite->tallies[sqlite->tally_count++] = (struct tally){type, 1};
    return err;
}

static int tenant(struct car_rows *rows, const struct car_tenant *tenant, uint64_t newest) {
    struct sqlite *sqlite = of_rows(rows);
    sqlite3_stmt *statement = sqlite->statements[TENANT];
    struct car_span id = car_tenant_id(tenant);
    uint32_t at;
    int err = add_types(sqlite);
    err = err ? err : car_numbered_get(&sqlite->numbered, tenant, &at);
    if (err) {
        return err;
    }
    memcpy(sqlite->id, id.ptr, id.len);
    sqlite->id_len = id.len;
    sqlite->newest = newest;
    sqlite->n = sqlite->numbered.items[at].n;
    (void)sqlite3_bind_int64(statement, 1, sqlite->n);
    (void)bind_text(statement, 2, id);
    (void)sqlite3_bind_int64(statement, 3, car_tenant_created_ms(tenant));
    (void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)newest);
    (void)sqlite3_bind_int64(statement, 5, car_sqlite_name_sum(id));
    (void)sqlite3_bind_int64(statement, 6, car_tenant_salt(tenant));
    (void)sqlite3_bind_int64(sqlite->statements[INSERT], 1, sqlite->n);
    (void)sqlite3_bind_int64(sqlite->statements[TYPE], 1, sqlite->n);
    return run(sqlite, TENANT, "a tenant is not stored");
}

/* An event with a traceparent comes (sqlite_schema.h). */
static int say_traces(struct sqlite *sqlite) {
    int err = sqlite->traces ? 0 : run(sqlite, VERSION, "the version is not stored");
    sqlite->traces = !err;
    return err;
}

static int insert(struct car_rows *rows, const struct car_event *event) {
    struct sqlite *sqlite = of_rows(rows);
    sqlite3_stmt *statement = sqlite->statements[INSERT];
    struct car_event_row row;
    car_event_row(event, &row);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)row.seq);
    (void)sqlite3_bind_blob(statement, 3, row.id.bytes, sizeof row.id.bytes, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 4, row.wall_ms);
    (void)bind_text(statement, 5, row.type);
    (void)bind_text(statement, 6, row.content);
    (void)sqlite3_bind_int64(statement, 7, car_sqlite_sum(car_tenant_id(event->tenant), &row));
    (void)bind_text(statement, 8, row.traceparent);
    int err = row.traceparent.len ? say_traces(sqlite) : 0;
    err = err ? err : run(sqlite, INSERT, "an event is not stored");
    car_upkeep_wrote(sqlite->upkeep, sqlite->n);
    return err ? err : count_type(sqlite, row.type);
}

static int recall(struct car_rows *rows, struct car_publish *const *publishes, size_t count, int64_t since_ms) {
    return car_sqlite_keys_recall(&of_rows(rows)->keys, publishes, count, since_ms);
}

static int remember(struct car_rows *rows, const struct car_rows_key *keys, size_t count) {
    return car_sqlite_keys_remember(&of_rows(rows)->keys, keys, count);
}

static int expire(struct car_rows *rows, int64_t since_ms, size_t max) {
    return car_sqlite_keys_expire(&of_rows(rows)->keys, since_ms, max);
}

static int change(struct car_rows *rows, const struct car_log_change *change) {
    struct sqlite *sqlite = of_rows(rows);
    int64_t n = 0;
    int err = car_sqlite_accounts_change(&sqlite->accounts, &sqlite->numbered, change, &n);
    if (!err && (change->kind == CAR_LOG_TENANT_PUT || change->kind == CAR_LOG_TENANT_REMOVE)) {
        car_upkeep_changed(sqlite->upkeep, n);
    }
    return err;
}

static int probe(struct car_rows *rows) {
    struct sqlite *sqlite = of_rows(rows);
    sqlite3_stmt *look = sqlite->statements[LOOK];
    (void)bind_text(look, 1, car_span_of(sqlite->id, sqlite->id_len));
    (void)sqlite3_bind_int64(look, 2, (sqlite3_int64)sqlite->newest);
    int err = run(sqlite, LOOK, "the store cannot be read");
    /* Changes nothing, and is written all the same: a row that is updated to what it was is not. */
    return err ? err : run(sqlite, sqlite->traces ? VERSION : FIRST_VERSION, "the store takes nothing");
}

static void rollback(struct car_rows *rows) {
    struct sqlite *sqlite = of_rows(rows);
    sqlite->traces = sqlite->traced;
    if (!sqlite3_get_autocommit(sqlite->db.handle)) { /* some errors have rolled back already */
        (void)run(sqlite, ROLLBACK, "a transaction is not rolled back");
    }
    (void)sqlite3_db_release_memory(sqlite->db.handle); /* a page that was misread is read anew */
    car_upkeep_rolled_back(sqlite->upkeep);
}

/* Where only the sync has failed, all of a transaction lies in the file, and a crash would bring it back: something
 * else is written over it before anybody is told that it is not there. */
static void bury(struct sqlite *sqlite) {
    char why[sizeof sqlite->db.why];
    memcpy(why, sqlite->db.why, sizeof why);
    rollback(&sqlite->rows);
    if (begin(&sqlite->rows) == 0 && (probe(&sqlite->rows) != 0 || run(sqlite, COMMIT, "nothing is committed") != 0)) {
        rollback(&sqlite->rows);
    }
    memcpy(sqlite->db.why, why, sizeof why);
}

static int commit(struct car_rows *rows) {
    struct sqlite *sqlite = of_rows(rows);
    int err = add_types(sqlite);
    err = err ? err : car_sqlite_db_stays(&sqlite->db);
    if (!err) {
        car_upkeep_committing(sqlite->upkeep);
        err = run(sqlite, COMMIT, "a transaction is not committed");
        if (err) {
            bury(sqlite);
        } else {
            sqlite->traced = sqlite->traces;
            car_upkeep_committed(sqlite->upkeep);
        }
    }
    return err;
}

static void rest(struct car_rows *rows, bool on) {
    car_upkeep_rest(of_rows(rows)->upkeep, on);
}

static bool rests(const struct car_rows *rows) {
    return car_upkeep_rests(((const struct sqlite *)rows)->upkeep);
}

static int lock(const struct car_rows *rows) {
    return ((const struct sqlite *)rows)->db.lock;
}

static void sqlite_free(struct car_rows *rows) {
    struct sqlite *sqlite = of_rows(rows);
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(sqlite->statements[i]);
    }
    car_numbered_free(&sqlite->numbered);
    car_sqlite_keys_close(&sqlite->keys);
    car_sqlite_accounts_close(&sqlite->accounts);
    if (sqlite->upkeep) {
        car_upkeep_close(&sqlite->upkeep);
    }
    car_sqlite_db_close(&sqlite->db);
    free(sqlite);
}

static const struct car_rows_ops OPS = {.begin = begin,
                                        .tenant = tenant,
                                        .insert = insert,
                                        .recall = recall,
                                        .remember = remember,
                                        .expire = expire,
                                        .change = change,
                                        .probe = probe,
                                        .commit = commit,
                                        .rollback = rollback,
                                        .rest = rest,
                                        .rests = rests,
                                        .lock = lock,
                                        .free = sqlite_free};

/* What a former process has left. */

struct restoring {
    struct sqlite *sqlite;
    struct car_feed *feed;
    struct car_reader *reader;
    sqlite3_stmt *tenants;
    const char *what; /* is wrong; NULL: what SQLite says */
};

static int restore_tenant(struct restoring *r) {
    struct car_span id = car_sqlite_column(r->tenants, 1);
    struct car_tenant *tenant = NULL;
    bool good = car_sqlite_sum_ok(sqlite3_column_int64(r->tenants, 5), car_sqlite_name_sum(id));
    int err = good ? car_registry_add(r->feed->registry, r->reader, id, &tenant) : CAR_EINVAL;
    if (err == CAR_EFULL) {
        r->what = "has more tenants than --max-tenants allows";
    } else if (err == CAR_EINVAL || err == CAR_EEXIST) {
        r->what = "is damaged: a tenant is there twice, or is none";
    }
    if (!err) {
        err = car_numbered_put(&r->sqlite->numbered, tenant, sqlite3_column_int64(r->tenants, 0));
        car_tenant_restore(tenant, (uint64_t)sqlite3_column_int64(r->tenants, 2),
                           (uint64_t)sqlite3_column_int64(r->tenants, 3), sqlite3_column_int64(r->tenants, 4),
                           sqlite3_column_int64(r->tenants, 6));
    }
    if (!err) {
        err = car_sqlite_accounts_terms(r->tenants, 7, tenant, r->reader);
        if (err == CAR_EINVAL) {
            r->what = "is damaged: what a tenant may is not what was stored";
        }
    }
    return err;
}

static int restore_log(struct restoring *r) {
    sqlite3_stmt *statement;
    struct car_feed *feed = r->feed;
    int err = car_sqlite_prepare(&r->sqlite->db, &statement, "SELECT epoch, id_key FROM log");
    if (err) {
        return err;
    }
    if (sqlite3_step(statement) == SQLITE_ROW && car_sqlite_column(statement, 0).len == CAR_EPOCH_LEN &&
        car_sqlite_column(statement, 1).len == sizeof feed->id_key) {
        memcpy(feed->epoch, car_sqlite_column(statement, 0).ptr, CAR_EPOCH_LEN);
        memcpy(&feed->id_key, car_sqlite_column(statement, 1).ptr, sizeof feed->id_key);
    } else {
        r->what = "is damaged: the log has no name";
        err = CAR_EINVAL;
    }
    (void)sqlite3_finalize(statement);
    return err;
}

/* What is left of removed ones has its numbers yet, and its rows go by themselves. */
static int reserve_numbers(struct restoring *r) {
    sqlite3_stmt *statement;
    int err = car_sqlite_prepare(&r->sqlite->db, &statement, "SELECT max(n) FROM tenants");
    if (!err && sqlite3_step(statement) == SQLITE_ROW) {
        car_numbered_reserve(&r->sqlite->numbered, sqlite3_column_int64(statement, 0));
    } else if (!err) {
        err = car_sqlite_failed(&r->sqlite->db, "the log cannot be read");
    }
    (void)sqlite3_finalize(statement);
    return err;
}

static int restore_keys(struct restoring *r) {
    int err = car_sqlite_accounts_keys(&r->sqlite->db, r->feed);
    if (err == CAR_EINVAL) {
        r->what = "is damaged: a key is not what was stored";
    }
    return err;
}

static int restore(struct restoring *r) {
    struct car_sqlite_db *db = &r->sqlite->db;
    int err = restore_log(r);
    err = err ? err : car_sqlite_prepare(db, &r->tenants, GET_TENANTS);
    int status = SQLITE_OK;
    while (!err && (status = sqlite3_step(r->tenants)) == SQLITE_ROW) {
        err = restore_tenant(r);
    }
    (void)sqlite3_finalize(r->tenants);
    err = err || status == SQLITE_DONE ? err : car_sqlite_failed(&r->sqlite->db, "the log cannot be read");
    err = err ? err : reserve_numbers(r);
    return err ? err : restore_keys(r);
}

/* NULL where there is no memory, or no thread. */
static struct car_pages *open_pages(struct car_reclaim *reclaim, const char *path, struct car_search_file *search) {
    void *readers[READERS];
    unsigned n = 0;
    while (n < READERS && (readers[n] = car_sqlite_reader_open(path, search))) {
        n++;
    }
    struct car_pages *pages = n == READERS ? car_pages_open(reclaim, &car_sqlite_reader_ops, readers, READERS) : NULL;
    for (; !pages && n > 0; n--) {
        car_sqlite_reader_ops.free(readers[n - 1]);
    }
    return pages;
}

int car_log_sqlite(struct car_feed *feed, struct car_reclaim *reclaim, struct car_reader *reader,
                   const struct car_sqlite_config *config, struct car_log **out, char *why, size_t size) {
    struct sqlite *sqlite = calloc(1, sizeof *sqlite);
    struct restoring restoring = {.sqlite = sqlite, .feed = feed, .reader = reader};
    if (!sqlite) {
        snprintf(why, size, "out of memory");
        return CAR_ENOMEM;
    }
    sqlite->rows = (struct car_rows){.ops = &OPS, .why = sqlite->db.why};
    int err = car_sqlite_db_open(&sqlite->db, config->path, config->lock, why, size);
    if (err) {
        free(sqlite);
        return err;
    }
    sqlite->traced = sqlite->traces = sqlite->db.version == CAR_SQLITE_VERSION;
    err = restore(&restoring);
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(&sqlite->db, &sqlite->statements[i], SQL[i]);
    }
    err = err ? err : car_sqlite_keys_open(&sqlite->keys, &sqlite->db);
    err = err ? err : car_sqlite_accounts_open(&sqlite->accounts, &sqlite->db);
    sqlite->upkeep = err ? NULL : car_upkeep_open(feed, reclaim, &sqlite->db, config);
    if (!err && !sqlite->upkeep) {
        err = CAR_ESYS;
    }
    struct car_pages *pages = err ? NULL : open_pages(reclaim, config->path, car_upkeep_search(sqlite->upkeep));
    struct car_log *log = pages ? car_group_open(feed, reclaim, &sqlite->rows, pages, config->relaxed) : NULL;
    if (!log) {
        if (pages) {
            car_pages_close(&pages);
        }
        snprintf(why, size, "%s: %s", config->path,
                 restoring.what    ? restoring.what
                 : err == CAR_ESYS ? sqlite->db.why
                                   : "out of memory");
        sqlite_free(&sqlite->rows);
        return err ? err : CAR_ENOMEM;
    }
    car_upkeep_begin(sqlite->upkeep, log);
    *out = log;
    return 0;
}
