#include "postgres_rows.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/tenant.h"

#include "postgres_accounts.h"
#include "postgres_schema.h"
#include "postgres_words.h"

/* What goes to the server in one statement. It sets to work on that while the next one is put together. */
#define EVENTS_MAX 1024u
#define BYTES_MAX  (1u << 20)

/* The types are counted by what was inserted. */
#define PUT_EVENTS(conflict)                                                                                           \
    "WITH put AS (INSERT INTO carillon.events (tenant, seq, id, wall_ms, type, content, words, traceparent)"           \
    " SELECT tenant, seq, id, wall_ms, type, content, array_to_tsvector(string_to_array(words, ' ')),"                 \
    " nullif(traceparent, '') FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[],"           \
    " $6::text[], $7::text[], $8::text[])"                                                                             \
    " AS e(tenant, seq, id, wall_ms, type, content, words, traceparent)" conflict " RETURNING tenant, type)"           \
    " INSERT INTO carillon.types AS t (tenant, type, count) SELECT tenant, type, count(*) FROM put"                    \
    " GROUP BY tenant, type ON CONFLICT (tenant, type) DO UPDATE SET count = t.count + excluded.count"

static const char PUT_TENANTS[] =
    "INSERT INTO carillon.tenants (n, id, created_ms, newest, salt)"
    " SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])"
    " ON CONFLICT (n) DO UPDATE SET newest = excluded.newest";

static const char PUT_MARK[] = "UPDATE carillon.log SET mark = $1::bigint";

/* Under relaxed a transaction whose end was not heard of is sent again, and may be there. */
static const struct car_pg_statement COMMIT_STATEMENTS[] = {
    {"events", PUT_EVENTS("")},
    {"tenants", PUT_TENANTS},
    {"mark", PUT_MARK},
    CAR_PG_KEYS_STATEMENTS,
};
static const struct car_pg_statement RELAXED_STATEMENTS[] = {
    {"events", PUT_EVENTS(" ON CONFLICT (tenant, seq) DO NOTHING")},
    {"tenants", PUT_TENANTS},
    {"mark", PUT_MARK},
    CAR_PG_KEYS_STATEMENTS,
};
enum { STATEMENT_COUNT = sizeof COMMIT_STATEMENTS / sizeof *COMMIT_STATEMENTS };
static_assert(sizeof COMMIT_STATEMENTS == sizeof RELAXED_STATEMENTS, "the same ones");

/* The arrays of "events", in its order; those of "tenants" follow. */
enum array {
    TENANT,
    SEQ,
    ID,
    WALL,
    TYPE,
    CONTENT,
    WORDS,
    TRACEPARENT,
    EVENT_ARRAYS,
    N = EVENT_ARRAYS,
    NAME,
    CREATED,
    NEWEST,
    SALT,
    ARRAYS
};

static_assert(ARRAYS == CAR_PG_ARRAYS, "as many as there are in postgres_rows.h");

static const enum car_pg_type ELEMENTS[ARRAYS] = {
    [TENANT] = CAR_PG_NUMBER, [SEQ] = CAR_PG_NUMBER,   [ID] = CAR_PG_UUID,        [WALL] = CAR_PG_NUMBER,
    [TYPE] = CAR_PG_TEXT,     [CONTENT] = CAR_PG_TEXT, [WORDS] = CAR_PG_TEXT,     [TRACEPARENT] = CAR_PG_TEXT,
    [N] = CAR_PG_NUMBER,      [NAME] = CAR_PG_TEXT,    [CREATED] = CAR_PG_NUMBER, [NEWEST] = CAR_PG_NUMBER,
    [SALT] = CAR_PG_NUMBER,
};
static const enum car_pg_type LISTS[ARRAYS] = {
    [TENANT] = CAR_PG_NUMBERS, [SEQ] = CAR_PG_NUMBERS,   [ID] = CAR_PG_UUIDS,        [WALL] = CAR_PG_NUMBERS,
    [TYPE] = CAR_PG_TEXTS,     [CONTENT] = CAR_PG_TEXTS, [WORDS] = CAR_PG_TEXTS,     [TRACEPARENT] = CAR_PG_TEXTS,
    [N] = CAR_PG_NUMBERS,      [NAME] = CAR_PG_TEXTS,    [CREATED] = CAR_PG_NUMBERS, [NEWEST] = CAR_PG_NUMBERS,
    [SALT] = CAR_PG_NUMBERS,
};

static struct car_pg_rows *of_rows(struct car_rows *rows) {
    return (struct car_pg_rows *)rows;
}

static int out_of_memory(struct car_pg_rows *postgres) {
    snprintf(postgres->session.pg.why, sizeof postgres->session.pg.why, "out of memory");
    return CAR_ENOMEM;
}

/* Storing. */

static void clear(struct car_pg_rows *postgres, enum array from, enum array to) {
    for (enum array i = from; i < to; i++) {
        if (postgres->arrays[i].failed) {
            car_buf_free(&postgres->arrays[i]);
        }
        car_pg_array_clear(&postgres->arrays[i], ELEMENTS[i]);
    }
}

static void clear_events(struct car_pg_rows *postgres) {
    clear(postgres, TENANT, EVENT_ARRAYS);
    postgres->events = 0;
}

static int begin(struct car_rows *rows) {
    struct car_pg_rows *postgres = of_rows(rows);
    postgres->turn++;
    postgres->begun = false;
    postgres->changes = false;
    postgres->traces = false;
    postgres->share_count = 0;
    clear_events(postgres);
    return car_pg_session_check(&postgres->session, postgres->statements, STATEMENT_COUNT);
}

/* The arrays as a statement's arguments. */
static int arguments(struct car_pg_rows *postgres, struct car_pg_args *args, enum array from, enum array to) {
    *args = (struct car_pg_args){0};
    for (enum array i = from; i < to; i++) {
        if (postgres->arrays[i].failed) {
            return out_of_memory(postgres);
        }
        car_pg_value(args, LISTS[i], car_buf_view(&postgres->arrays[i]));
    }
    return 0;
}

static int send_begin(struct car_pg_rows *postgres) {
    int err = postgres->begun ? 0 : car_pg_send(&postgres->session.pg, "BEGIN", NULL);
    postgres->begun = postgres->begun || !err;
    return err;
}

static int send_events(struct car_pg_rows *postgres) {
    struct car_pg_args args;
    int err = arguments(postgres, &args, TENANT, EVENT_ARRAYS);
    err = err ? err : send_begin(postgres);
    err = err ? err : car_pg_send_prepared(&postgres->session.pg, "events", &args);
    clear_events(postgres);
    return err;
}

/* The tenant's share, a new one where it has none yet. */
static int share_of(struct car_pg_rows *postgres, uint32_t at, struct car_pg_share **out) {
    struct car_numbered_tenant *item = &postgres->tenants.items[at];
    if (postgres->share_count == postgres->share_cap) {
        uint32_t cap = postgres->share_cap ? postgres->share_cap * 2 : 64;
        struct car_pg_share *shares = realloc(postgres->shares, cap * sizeof *shares);
        if (!shares) {
            return CAR_ENOMEM;
        }
        postgres->shares = shares;
        postgres->share_cap = cap;
    }
    if (item->turn != postgres->turn) {
        item->turn = postgres->turn;
        item->share = postgres->share_count++;
        postgres->shares[item->share] = (struct car_pg_share){.tenant = at, .newest = item->newest};
    }
    *out = &postgres->shares[item->share];
    return 0;
}

static int tenant(struct car_rows *rows, const struct car_tenant *tenant, uint64_t newest) {
    struct car_pg_rows *postgres = of_rows(rows);
    struct car_pg_share *share = NULL;
    uint32_t at = 0;
    int err = car_numbered_get(&postgres->tenants, tenant, &at);
    err = err ? err : share_of(postgres, at, &share);
    if (err) {
        return out_of_memory(postgres);
    }
    share->newest = newest;
    postgres->n = postgres->tenants.items[at].n;
    return 0;
}

static void put_text(struct car_buf *array, struct car_span text) {
    car_pg_array_put(array, text.ptr, text.len);
}

static int insert(struct car_rows *rows, const struct car_event *event) {
    struct car_pg_rows *postgres = of_rows(rows);
    struct car_buf *arrays = postgres->arrays;
    struct car_event_row row;
    car_event_row(event, &row);
    postgres->lexemes.len = 0;
    car_pg_lexemes(postgres->n, event, &postgres->words, &postgres->lexemes);
    if (postgres->lexemes.failed) {
        car_buf_free(&postgres->lexemes);
        return out_of_memory(postgres);
    }
    car_pg_array_number(&arrays[TENANT], postgres->n);
    car_pg_array_number(&arrays[SEQ], (int64_t)row.seq);
    car_pg_array_put(&arrays[ID], row.id.bytes, sizeof row.id.bytes);
    car_pg_array_number(&arrays[WALL], row.wall_ms);
    put_text(&arrays[TYPE], row.type);
    put_text(&arrays[CONTENT], row.content);
    put_text(&arrays[WORDS], car_buf_view(&postgres->lexemes));
    put_text(&arrays[TRACEPARENT], row.traceparent);
    postgres->traces = postgres->traces || row.traceparent.len;
    postgres->events++;
    bool full = postgres->events == EVENTS_MAX || arrays[CONTENT].len + arrays[WORDS].len >= BYTES_MAX;
    return full ? send_events(postgres) : 0;
}

/* A transaction that was begun has to be asked, for what it has inserted counts; no keyed event waits in the arrays,
 * for `remember` sends them. One that was not is left alone: nobody else writes, so what is committed now is what it
 * would see, and where all are repeats it need neither begin nor end. */
static int recall(struct car_rows *rows, struct car_publish *const *publishes, size_t count, int64_t since_ms) {
    struct car_pg_rows *postgres = of_rows(rows);
    return car_pg_keys_recall(&postgres->keys, &postgres->session.pg, &postgres->tenants, publishes, count, since_ms);
}

static int remember(struct car_rows *rows, const struct car_rows_key *keys, size_t count) {
    struct car_pg_rows *postgres = of_rows(rows);
    int err = postgres->events ? send_events(postgres) : send_begin(postgres);
    return err ? err : car_pg_keys_send(&postgres->keys, &postgres->session.pg, &postgres->tenants, keys, count);
}

static int expire(struct car_rows *rows, int64_t since_ms, size_t max) {
    struct car_pg_rows *postgres = of_rows(rows);
    int err = send_begin(postgres);
    return err ? err : car_pg_keys_send_expire(&postgres->session.pg, since_ms, max);
}

static int change(struct car_rows *rows, const struct car_log_change *change) {
    struct car_pg_rows *postgres = of_rows(rows);
    struct car_pg *pg = &postgres->session.pg;
    struct car_pg_share *share = NULL;
    uint32_t at = 0;
    int err = car_numbered_get(&postgres->tenants, change->tenant, &at);
    err = err ? err : share_of(postgres, at, &share);
    if (err) {
        return out_of_memory(postgres);
    }
    const struct car_numbered_tenant *item = &postgres->tenants.items[at];
    err = send_begin(postgres);
    if (!err && !postgres->changes) {
        postgres->changes = true;
        err = car_pg_accounts_send_forget(pg);
    }
    if (!err && !share->changed) {
        share->changed = true;
        err = car_pg_accounts_send_before(pg, item->tenant, item->n, item->newest);
    }
    err = err ? err : car_pg_accounts_send(pg, change, item->n);
    return err == CAR_ENOMEM ? out_of_memory(postgres) : err;
}

/* What the tenants have now, and, for a transaction that may have to be taken out again, had before. */
static int send_tenants(struct car_pg_rows *postgres) {
    struct car_pg_session *session = &postgres->session;
    struct car_buf *arrays = postgres->arrays;
    struct car_pg_args args;
    clear(postgres, N, ARRAYS);
    car_pg_undo_clear(&session->undo);
    for (uint32_t i = 0; i < postgres->share_count; i++) {
        const struct car_numbered_tenant *item = &postgres->tenants.items[postgres->shares[i].tenant];
        car_pg_array_number(&arrays[N], item->n);
        put_text(&arrays[NAME], car_tenant_id(item->tenant));
        car_pg_array_number(&arrays[CREATED], car_tenant_created_ms(item->tenant));
        car_pg_array_number(&arrays[NEWEST], (int64_t)postgres->shares[i].newest);
        car_pg_array_number(&arrays[SALT], car_tenant_salt(item->tenant));
        car_pg_undo_put(&session->undo, item->n, item->newest, item->rooted, postgres->shares[i].changed);
    }
    if (!car_pg_undo_is_whole(&session->undo)) {
        return out_of_memory(postgres);
    }
    int err = arguments(postgres, &args, N, ARRAYS);
    return err || !postgres->share_count ? err : car_pg_send_prepared(&session->pg, "tenants", &args);
}

/* All of it is one round trip. */
static int commit(struct car_rows *rows) {
    struct car_pg_rows *postgres = of_rows(rows);
    struct car_pg_session *session = &postgres->session;
    struct car_pg_args mark = {0};
    int err = postgres->events ? send_events(postgres) : send_begin(postgres);
    if (!err && postgres->copies && !postgres->changes) {
        err = car_pg_accounts_send_forget(&session->pg);
    }
    if (!err && postgres->traces && !postgres->traced) {
        err = car_pg_send(&session->pg, CAR_PG_SAY_TRACED, NULL);
    }
    err = err ? err : send_tenants(postgres);
    if (err) {
        return err;
    }
    car_pg_number(&mark, (int64_t)car_pg_session_tries(session));
    err = car_pg_send_prepared(&session->pg, "mark", &mark);
    err = err ? err : car_pg_send(&session->pg, "COMMIT", NULL);
    err = err ? err : car_pg_finish(&session->pg, NULL);
    car_pg_session_tried(session, err);
    for (uint32_t i = 0; i < postgres->share_count && !err; i++) {
        struct car_numbered_tenant *item = &postgres->tenants.items[postgres->shares[i].tenant];
        item->newest = postgres->shares[i].newest;
        item->rooted = true;
    }
    postgres->copies = err ? postgres->copies : postgres->changes;
    postgres->traced = postgres->traced || (!err && postgres->traces);
    return err;
}

/* That each transaction leaves its mark is change enough. */
static int probe(struct car_rows *rows) {
    (void)rows;
    return 0;
}

static void rollback(struct car_rows *rows) {
    clear_events(of_rows(rows));
    car_pg_rollback(&of_rows(rows)->session.pg);
}

/* With the connection goes the lock. What becomes of the database meanwhile is found out by its mark. */
static void rest(struct car_rows *rows, bool on) {
    if (on) {
        car_pg_session_rest(&of_rows(rows)->session);
    }
}

static void postgres_free(struct car_rows *rows) {
    struct car_pg_rows *postgres = of_rows(rows);
    if (postgres->upkeep) {
        car_pg_upkeep_close(&postgres->upkeep);
    }
    car_pg_session_close(&postgres->session);
    car_numbered_free(&postgres->tenants);
    for (enum array i = 0; i < ARRAYS; i++) {
        car_buf_free(&postgres->arrays[i]);
    }
    car_buf_free(&postgres->words);
    car_buf_free(&postgres->lexemes);
    car_pg_keys_free(&postgres->keys);
    free(postgres->shares);
    free(postgres->uri);
    free(postgres);
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
                                        .free = postgres_free};

struct car_pg_rows *car_pg_rows_new(const char *uri, bool relaxed) {
    struct car_pg_rows *postgres = calloc(1, sizeof *postgres);
    char *copy = postgres ? strdup(uri) : NULL;
    if (!copy) {
        free(postgres);
        return NULL;
    }
    postgres->rows = (struct car_rows){.ops = &OPS, .why = postgres->session.pg.why, .may_go = true};
    postgres->uri = copy;
    postgres->session.uri = copy;
    postgres->session.keeps = relaxed;
    postgres->statements = relaxed ? RELAXED_STATEMENTS : COMMIT_STATEMENTS;
    return postgres;
}

int car_pg_rows_ready(struct car_pg_rows *rows) {
    return car_pg_session_ready(&rows->session, rows->statements, STATEMENT_COUNT);
}
