#include "postgres_upkeep.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/postgres.h"

#include "postgres_db.h"
#include "postgres_session.h"

/* A look goes through so many tenants, and takes up so many that have something to be forgotten. */
#define LOOK_TENANTS "4096"
#define TAKEN_MAX    64
#define TAKEN        "64"

/* Events whose age is looked at in one go, and rows that go with one statement. */
#define AGES     4096
#define AGES_SQL "4096"
#define LESS_ONE "255"

/* Between two rounds; the more there are to be looked at, the longer. */
#define PAUSE_MS    1000u
#define PAUSE_LOOKS 10u

#define PATIENCE_MS 5000u

#define SEQ_ALL ((uint64_t)INT64_MAX - 1) /* up to the last one */

/* A lock is waited for less long than PostgreSQL waits before it ends one of two that wait for each other: the log's
 * transactions are not to be that one. What is lost when the server crashes is forgotten once more. */
static const char SETTINGS[] = "SET search_path = ''; SET jit = off; SET enable_seqscan = off;"
                               "SET statement_timeout = 2000; SET lock_timeout = 250; SET synchronous_commit = off";

#define LOCKED "55P03" /* by lock_timeout: errcodes-appendix */

/* What a tenant's own terms say goes first: $3 and $4 are the server's. */
#define KEPT  "CASE WHEN retention_count > 0 THEN retention_count ELSE $3 END"
#define SINCE "CASE WHEN retention_ms > 0 THEN $6 - retention_ms ELSE $4 END"

/* $1 behind which tenant, $2 the server's process that has the lock, $3 how many are kept, $4 since when, or 0, $5 not
 * 0: what was begun may not be done, $6 now. */
static const char LOOK[] =
    "SELECT n, id, newest, forgotten, removed, salt FROM (SELECT n, id, newest, forgotten, removed, salt, " KEPT
    " AS kept, " SINCE " AS since FROM carillon.tenants WHERE n > $1::bigint"
    " ORDER BY n LIMIT " LOOK_TENANTS ") AS t WHERE EXISTS (" CAR_PG_LOCK_OF(
        "$2") ") AND (removed OR newest - kept > forgotten"
              " OR (since > 0 AND (SELECT wall_ms FROM carillon.events WHERE tenant = t.n AND seq > t.forgotten"
              " ORDER BY seq LIMIT 1) < since)"
              " OR ($5 <> 0 AND EXISTS (SELECT FROM carillon.events WHERE tenant = t.n AND seq <= t.forgotten)))"
              " ORDER BY n LIMIT " TAKEN;
enum { LOOK_N, LOOK_ID, LOOK_NEWEST, LOOK_FORGOTTEN, LOOK_REMOVED, LOOK_SALT };
static const char LOOK_END[] = "SELECT max(n) FROM (SELECT n FROM carillon.tenants WHERE n > $1::bigint"
                               " ORDER BY n LIMIT " LOOK_TENANTS ") AS t";

/* How far what is too old reaches: $1 the tenant, $2 what is forgotten, $3 since when events are kept. */
static const char OLD[] =
    "SELECT coalesce(min(seq) FILTER (WHERE wall_ms >= $3) - 1, max(seq)) FROM (SELECT seq, wall_ms"
    " FROM carillon.events WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT " AGES_SQL ") AS e";

/* $1 the tenant, $2 up to where, $3 as $2 of LOOK. */
static const char MOVE[] = "UPDATE carillon.tenants SET forgotten = $2 WHERE n = $1 AND forgotten < $2"
                           " AND EXISTS (" CAR_PG_LOCK_OF("$3") ") RETURNING forgotten";

/* $1 the tenant, $2 from where, $3 up to where. The keys of these events go with them. */
static const char DROP[] =
    "WITH gone AS (DELETE FROM carillon.events WHERE tenant = $1 AND seq >= $2 AND seq <="
    " least($3, (SELECT min(seq) FROM carillon.events WHERE tenant = $1 AND seq >= $2) + " LESS_ONE ")"
    " RETURNING seq, wall_ms, type),"
    " less AS (SELECT type, count(*) AS count FROM gone GROUP BY type ORDER BY type),"
    " counted AS (UPDATE carillon.types AS t SET count = t.count - less.count FROM less"
    " WHERE t.tenant = $1 AND t.type = less.type),"
    " keys AS (DELETE FROM carillon.idempotency WHERE tenant = $1 AND first <= $3"
    " AND at_ms BETWEEN (SELECT min(wall_ms) FROM gone) AND (SELECT max(wall_ms) FROM gone))"
    " SELECT max(seq) FROM gone";

/* What is left of a removed tenant beside its events, as much as goes with one statement; and at last its row. */
#define SOME_OF(table)                                                                                                 \
    "(DELETE FROM carillon." table " WHERE ctid = ANY (ARRAY(SELECT ctid FROM carillon." table                         \
    " WHERE tenant = $1 LIMIT 256)) RETURNING 1)"
static const char REST[] = "WITH i AS " SOME_OF("idempotency") ", t AS " SOME_OF("types") ", k AS " SOME_OF(
    "keys") ", b AS (DELETE FROM carillon.keys_before WHERE tenant = $1),"
            " c AS (DELETE FROM carillon.tenants_before WHERE n = $1)"
            " SELECT (SELECT count(*) FROM i) + (SELECT count(*) FROM t) + (SELECT count(*) FROM k)";
static const char ROW[] = "DELETE FROM carillon.tenants WHERE n = $1 AND removed";

/* A tenant that has something to be forgotten. */
struct taken {
    int64_t n;
    struct car_tenant *tenant;  /* NULL: it was removed, and all of it is to go */
    uint64_t newest, forgotten; /* as the database has them */
    uint64_t next;              /* rows before it are gone */
    bool moved;                 /* `forgotten` is where it is to be: the rows go */
    bool more;                  /* then it may move on */
};

struct car_pg_upkeep {
    struct car_worker *worker;
    struct car_note stop;
    struct car_timer timer; /* until the next round */
    struct car_task turn;
    struct car_feed *feed;
    struct car_pg_session *session;
    const char *uri;
    uint64_t retain_ms, retain_count;

    /* the thread's own */
    struct car_pg pg;
    bool stopping;
    bool told; /* that it does not go on */

    /* a round through all tenants */
    bool begun;
    uint64_t looked_us; /* how long the looks took */
    int64_t behind;     /* the next look is behind that tenant */
    bool last;          /* there was no other one */
    bool left_over;     /* rows that are forgotten may be there */
    struct taken taken[TAKEN_MAX];
    unsigned count, at;
};

static int ready(struct car_pg_upkeep *upkeep) {
    if (car_pg_is_well(&upkeep->pg)) {
        return 0;
    }
    upkeep->pg.patience_ms = PATIENCE_MS;
    upkeep->left_over = true;
    int err = car_pg_open(&upkeep->pg, upkeep->uri);
    return err ? err : car_pg_exec(&upkeep->pg, SETTINGS);
}

/* Events from before are too old; 0 where none are. */
static int64_t since_ms(uint64_t retain_ms) {
    int64_t now = car_clock_wall_ms();
    return retain_ms && retain_ms < (uint64_t)now ? now - (int64_t)retain_ms : 0;
}

static int backend(struct car_pg_upkeep *upkeep) {
    return atomic_load_explicit(&upkeep->session->backend, memory_order_relaxed);
}

/* Takes up the tenant of a row. false where there is nothing to be done for it, or not yet. */
static bool take(struct car_pg_upkeep *upkeep, struct taken *t, const PGresult *rows, int row) {
    bool removed = car_pg_column_bool(rows, row, LOOK_REMOVED);
    *t = (struct taken){.n = car_pg_column_number(rows, row, LOOK_N),
                        .newest = (uint64_t)car_pg_column_number(rows, row, LOOK_NEWEST),
                        .forgotten = (uint64_t)car_pg_column_number(rows, row, LOOK_FORGOTTEN)};
    struct car_tenant *found =
        car_registry_find(upkeep->feed->registry, upkeep->worker->reader, car_pg_column(rows, row, LOOK_ID));
    bool same = found && car_tenant_salt(found) == car_pg_column_number(rows, row, LOOK_SALT);
    if (removed) {
        t->forgotten = SEQ_ALL;
        t->moved = true;
    } else {
        t->tenant = same ? found : NULL;
    }
    t->next = removed || upkeep->left_over ? 1 : t->forgotten + 1;
    /* Where the registry still has one that is removed here, the log has not heard that this was committed, and will
     * perhaps take it back. */
    return removed != same;
}

/* Takes up the next tenants that have something to be forgotten. */
static int look(struct car_pg_upkeep *upkeep) {
    PGresult *results[2] = {NULL, NULL};
    struct car_pg_args args = {0};
    struct car_pg_args end = {0};
    uint64_t keep = upkeep->retain_count && upkeep->retain_count < INT64_MAX ? upkeep->retain_count : INT64_MAX;
    car_pg_number(&args, upkeep->behind);
    car_pg_number(&args, backend(upkeep));
    car_pg_number(&args, (int64_t)keep);
    car_pg_number(&args, since_ms(upkeep->retain_ms));
    car_pg_number(&args, upkeep->left_over);
    car_pg_number(&args, car_clock_wall_ms());
    car_pg_number(&end, upkeep->behind);
    upkeep->count = upkeep->at = 0;
    int err = car_pg_send(&upkeep->pg, LOOK, &args);
    err = err ? err : car_pg_send(&upkeep->pg, LOOK_END, &end);
    err = err ? err : car_pg_finish(&upkeep->pg, results);
    int rows = err ? 0 : PQntuples(results[0]);
    for (int i = 0; i < rows && i < TAKEN_MAX; i++) {
        struct taken *t = &upkeep->taken[upkeep->count];
        upkeep->count += take(upkeep, t, results[0], i);
        upkeep->behind = t->n;
    }
    if (!err && rows < TAKEN_MAX) {
        upkeep->last = PQgetisnull(results[1], 0, 0);
        upkeep->behind = upkeep->last ? 0 : car_pg_column_number(results[1], 0, 0);
    }
    PQclear(results[0]);
    PQclear(results[1]);
    return err;
}

/* Up to where the tenant's events are too many, or too old. */
static int find_border(struct car_pg_upkeep *upkeep, struct taken *t, uint64_t *border) {
    struct car_pg_args args = {0};
    car_reader_enter(upkeep->worker->reader);
    struct car_tenant_limits limits = car_tenant_terms(t->tenant)->limits;
    car_reader_leave(upkeep->worker->reader);
    uint64_t keep = limits.retention_count ? limits.retention_count : upkeep->retain_count;
    int64_t since = since_ms(limits.retention_ms ? limits.retention_ms : upkeep->retain_ms);
    /* Neither what is refused, although it was committed and will be taken out again, nor what is not committed yet. */
    uint64_t newest = car_tenant_newest(t->tenant);
    newest = newest < t->newest ? newest : t->newest;
    *border = keep && newest > keep ? newest - keep : 0;
    t->more = false;
    if (!since) {
        return 0;
    }
    uint64_t from = *border > t->forgotten ? *border : t->forgotten;
    car_pg_number(&args, t->n);
    car_pg_number(&args, (int64_t)from);
    car_pg_number(&args, since);
    PGresult *result = car_pg_query(&upkeep->pg, OLD, &args);
    if (!result) {
        return CAR_ESYS;
    }
    uint64_t old = (uint64_t)car_pg_column_number(result, 0, 0); /* 0 where it is NULL */
    old = old < newest ? old : newest;
    PQclear(result);
    t->more = old >= from + AGES;
    *border = old > *border ? old : *border;
    return 0;
}

/* From now on nobody finds what is to go. */
static int move(struct car_pg_upkeep *upkeep, struct taken *t) {
    struct car_pg_args args = {0};
    uint64_t border = 0;
    int err = find_border(upkeep, t, &border);
    t->moved = !err;
    if (err || border <= t->forgotten) {
        return err;
    }
    car_pg_number(&args, t->n);
    car_pg_number(&args, (int64_t)border);
    car_pg_number(&args, backend(upkeep));
    PGresult *result = car_pg_query(&upkeep->pg, MOVE, &args);
    if (!result) {
        return CAR_ESYS;
    }
    if (PQntuples(result) == 1) {
        t->forgotten = border;
        car_tenant_forget(t->tenant, border);
    } else {
        t->more = false; /* another server has the database */
    }
    PQclear(result);
    return 0;
}

/* The same of what a removed tenant has beside its events. */
static int drop_rest(struct car_pg_upkeep *upkeep, const struct taken *t) {
    struct car_pg_args args = {0};
    car_pg_number(&args, t->n);
    PGresult *result = car_pg_query(&upkeep->pg, REST, &args);
    bool all = result && car_pg_column_number(result, 0, 0) == 0;
    int err = result ? 0 : CAR_ESYS;
    PQclear(result);
    if (all) {
        result = car_pg_query(&upkeep->pg, ROW, &args);
        err = result ? 0 : CAR_ESYS;
        PQclear(result);
        upkeep->at += !err;
    }
    return err;
}

/* Deletes some rows. Once none is left the next tenant has its turn. */
static int drop(struct car_pg_upkeep *upkeep, struct taken *t) {
    if (!t->tenant && t->next > t->forgotten) {
        return drop_rest(upkeep, t);
    }
    uint64_t last = t->forgotten;
    if (t->next <= t->forgotten) {
        struct car_pg_args args = {0};
        car_pg_number(&args, t->n);
        car_pg_number(&args, (int64_t)t->next);
        car_pg_number(&args, (int64_t)t->forgotten);
        PGresult *result = car_pg_query(&upkeep->pg, DROP, &args);
        if (!result) {
            return CAR_ESYS;
        }
        last = PQgetisnull(result, 0, 0) ? last : (uint64_t)car_pg_column_number(result, 0, 0);
        PQclear(result);
    }
    t->next = last + 1;
    if (last >= t->forgotten && t->tenant) {
        t->moved = false;
        upkeep->at += !t->more;
    }
    return 0;
}

/* The timer begins another round. */
static void end_round(struct car_pg_upkeep *upkeep, int err) {
    uint64_t pause_ms = PAUSE_MS + PAUSE_LOOKS * upkeep->looked_us / 1000;
    bool wrong = err && strcmp(upkeep->pg.state, LOCKED) != 0;
    upkeep->left_over = err != 0;
    if (wrong && !upkeep->told) {
        car_log_warn("store: nothing is forgotten: %s", upkeep->pg.why);
    } else if (!err && upkeep->told) {
        car_log_info("store: events are forgotten again");
    }
    upkeep->told = wrong || (err && upkeep->told);
    upkeep->count = upkeep->at = 0;
    upkeep->behind = 0;
    upkeep->last = false;
    upkeep->begun = false;
    upkeep->looked_us = 0;
    car_timer_set(upkeep->worker->wheel, &upkeep->timer, pause_ms);
}

/* One step, so that the thread hears in between that it is to end. */
static void on_turn(struct car_task *task) {
    struct car_pg_upkeep *upkeep = (struct car_pg_upkeep *)((char *)task - offsetof(struct car_pg_upkeep, turn));
    int err = 0;
    if (upkeep->stopping) {
        return;
    }
    if (!upkeep->begun) {
        upkeep->begun = true;
        err = ready(upkeep);
    }
    if (!err && upkeep->at < upkeep->count) {
        struct taken *t = &upkeep->taken[upkeep->at];
        err = t->moved ? drop(upkeep, t) : move(upkeep, t);
    } else if (!err) {
        uint64_t before = car_clock_mono_us();
        err = look(upkeep);
        upkeep->looked_us += car_clock_mono_us() - before;
    }
    if (err || (upkeep->last && upkeep->at == upkeep->count)) {
        end_round(upkeep, err);
    } else {
        car_task_yield(&upkeep->worker->tasks, task);
    }
}

static void on_timer(struct car_timer *timer) {
    struct car_pg_upkeep *upkeep = (struct car_pg_upkeep *)((char *)timer - offsetof(struct car_pg_upkeep, timer));
    car_task_defer(&upkeep->worker->tasks, &upkeep->turn);
}

/* Life. */

static void on_stop(struct car_note *note, void *owner) {
    struct car_pg_upkeep *upkeep = (struct car_pg_upkeep *)((char *)note - offsetof(struct car_pg_upkeep, stop));
    struct car_worker *worker = owner;
    upkeep->stopping = true;
    car_timer_clear(worker->wheel, &upkeep->timer);
    car_task_cancel(&worker->tasks, &upkeep->turn);
    car_worker_stop(worker);
}

struct car_pg_upkeep *car_pg_upkeep_open(struct car_feed *feed, struct car_reclaim *reclaim,
                                         struct car_pg_session *session, const struct car_postgres_config *config) {
    struct car_pg_upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep) {
        return NULL;
    }
    upkeep->feed = feed;
    upkeep->session = session;
    upkeep->uri = session->uri;
    upkeep->retain_ms = config->retain_ms;
    upkeep->retain_count = config->retain_count;
    upkeep->stop.run = on_stop;
    upkeep->timer.fire = on_timer;
    upkeep->turn.run = on_turn;
    if (car_worker_open(&upkeep->worker, 0, reclaim) != 0) {
        free(upkeep);
        return NULL;
    }
    upkeep->worker->name = "upkeep";
    car_timer_set(upkeep->worker->wheel, &upkeep->timer, 0);
    if (car_worker_start(upkeep->worker) != 0) {
        car_worker_join(upkeep->worker);
        car_worker_close(&upkeep->worker);
        free(upkeep);
        return NULL;
    }
    return upkeep;
}

void car_pg_upkeep_close(struct car_pg_upkeep **upkeep) {
    struct car_pg_upkeep *u = *upkeep;
    *upkeep = NULL;
    car_mailbox_post(&u->worker->mailbox, &u->stop);
    car_worker_join(u->worker);
    car_worker_close(&u->worker);
    car_pg_close(&u->pg);
    free(u);
}
