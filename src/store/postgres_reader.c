#include "postgres_reader.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/buf.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"

#include "filling.h"
#include "postgres_db.h"
#include "postgres_row.h"
#include "postgres_words.h"

/* How many events of a range are looked at for one page, where no index helps. */
#define WINDOW (UINT64_C(1) << 14)

#define PATIENCE_MS 5000u
#define RETRY_US    500000u

static const char SETTINGS[] = "SET search_path = ''; SET jit = off; SET statement_timeout = 2000;"
                               "SET default_transaction_read_only = on;"
                               "SET default_transaction_isolation = 'repeatable read'";

#define CANCELED "57014" /* by statement_timeout: errcodes-appendix */

static const char PLACE[] = "SELECT n, newest, forgotten FROM carillon.tenants WHERE id = $1 AND NOT removed";

/* $1 the tenant, $2 and $3 the range, $4 how many, $5 how many bytes. The contents stay where they are until it is
 * known which of them are wanted. Each call is planned anew, for what is rare is sought otherwise than what is
 * frequent. */
#define ROWS(also, direction)                                                                                          \
    "SELECT " CAR_PG_ROW ", total FROM (SELECT *, sum(octet_length(content)) OVER"                                     \
    " (ORDER BY seq " direction " ROWS UNBOUNDED PRECEDING)::bigint AS total FROM"                                     \
    " (SELECT " CAR_PG_ROW " FROM carillon.events WHERE tenant = $1 AND seq BETWEEN $2 AND $3" also                    \
    " ORDER BY seq " direction " LIMIT $4) AS found) AS summed WHERE total - octet_length(content) < $5"               \
    " ORDER BY seq " direction
#define FILTERED " AND wall_ms BETWEEN $6 AND $7 AND ($8::tsquery IS NULL OR words @@ $8)"

static const char *const ROWS_SQL[2][2] = {
    {ROWS("", "ASC"), ROWS("", "DESC")},
    {ROWS(FILTERED, "ASC"), ROWS(FILTERED, "DESC")},
};

enum { TOTAL = CAR_PG_ROW_COLUMNS };

static const char COUNTS[] = "SELECT type, count FROM carillon.types WHERE tenant = $1 AND count > 0"
                             " ORDER BY count DESC, type LIMIT $2";

struct reader {
    struct car_pg pg;
    const char *uri;
    uint64_t next_try; /* car_clock_mono_us */
    bool told;         /* that it cannot be read */
    struct car_buf scratch, query;
};

static int ready(struct reader *reader) {
    if (car_pg_is_well(&reader->pg)) {
        return 0;
    }
    if (car_clock_mono_us() < reader->next_try) {
        return CAR_ESYS;
    }
    reader->pg.patience_ms = PATIENCE_MS;
    int err = car_pg_open(&reader->pg, reader->uri);
    err = err ? err : car_pg_exec(&reader->pg, SETTINGS);
    reader->next_try = err ? car_clock_mono_us() + RETRY_US : 0;
    return err;
}

static int find_place(struct reader *reader, const struct car_tenant *tenant, struct car_place *place) {
    PGresult *results[2] = {NULL, NULL};
    struct car_pg_args args = {0};
    car_pg_value(&args, CAR_PG_TEXT, car_tenant_id(tenant));
    int err = car_pg_send(&reader->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", NULL);
    err = err ? err : car_pg_send(&reader->pg, PLACE, &args);
    err = err ? err : car_pg_finish(&reader->pg, results);
    *place = (struct car_place){0};
    if (!err && PQntuples(results[1]) == 1) {
        *place =
            (struct car_place){car_pg_column_number(results[1], 0, 0), (uint64_t)car_pg_column_number(results[1], 0, 1),
                               (uint64_t)car_pg_column_number(results[1], 0, 2)};
    }
    if (car_tenant_is_removed(tenant)) {
        /* Looked at after the row was read: that may be another tenant's, of the same id. All of this one is forgotten.
         */
        *place = (struct car_place){-1, car_tenant_newest(tenant), car_tenant_newest(tenant)};
    }
    PQclear(results[0]);
    PQclear(results[1]);
    return err;
}

/* Looks at a row's event: the index finds all that pass, and sometimes more. */
static int take(struct reader *reader, struct car_filling *f, const PGresult *rows, int at) {
    struct car_event_row row;
    if (car_pg_row(rows, at, 0, &row) != 0 || (!f->page->filter && row.seq != f->next)) {
        return CAR_EINVAL; /* seqs have no hole */
    }
    return car_filling_take(f, &row, &reader->scratch);
}

static int take_all(struct reader *reader, struct car_filling *f, const PGresult *rows) {
    int count = PQntuples(rows);
    int err = 0;
    int at = 0;
    for (; at < count && !err && !car_filling_is_full(f); at++) {
        err = take(reader, f, rows, at);
    }
    bool whole = at == count && (uint32_t)count < f->page->max_events &&
                 (count == 0 || (uint64_t)car_pg_column_number(rows, count - 1, TOTAL) < f->page->max_bytes);
    if (!err && whole && f->page->filter) {
        f->next = car_filling_end(f);
    } else if (err == CAR_EINVAL || (!err && whole && f->next != car_filling_end(f))) {
        car_log_error("store: the database is damaged: an event is missing, or is none");
        err = CAR_EINVAL;
    }
    return err;
}

static int64_t at_most(uint64_t n) {
    return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

/* The rows of the range; NULL where that fails. Ends the transaction. */
static PGresult *select_rows(struct reader *reader, const struct car_filling *f) {
    const struct car_log_page *page = f->page;
    const struct car_filter *filter = page->filter;
    PGresult *results[2] = {NULL, NULL};
    struct car_pg_args args = {0};
    car_pg_number(&args, f->place->n);
    car_pg_number(&args, (int64_t)f->first);
    car_pg_number(&args, (int64_t)f->last);
    car_pg_number(&args, page->max_events);
    car_pg_number(&args, page->max_bytes ? at_most(page->max_bytes) : 1);
    if (filter) {
        reader->query.len = 0;
        bool some = car_pg_lexemes_asked(f->place->n, filter, &reader->query);
        if (reader->query.failed) {
            car_buf_free(&reader->query);
            return NULL;
        }
        car_pg_number(&args, filter->has_from ? filter->from_ms : INT64_MIN);
        car_pg_number(&args, filter->has_to ? filter->to_ms : INT64_MAX);
        car_pg_literal(&args, CAR_PG_QUERY, some ? reader->query.data : NULL);
    }
    int err = car_pg_send(&reader->pg, ROWS_SQL[filter != NULL][page->descending], &args);
    err = err ? err : car_pg_send(&reader->pg, "COMMIT", NULL);
    err = err ? err : car_pg_finish(&reader->pg, results);
    PQclear(results[1]);
    if (err) {
        PQclear(results[0]);
        results[0] = NULL;
    }
    return results[0];
}

/* Leaves of the range what is looked at without an index. */
static void narrow(struct car_filling *f) {
    if (f->last - f->first >= WINDOW) {
        *(f->page->descending ? &f->first : &f->last) =
            f->page->descending ? f->last - WINDOW + 1 : f->first + WINDOW - 1;
    }
}

/* `narrowly`: the whole range would take too long. */
static int read_page(struct reader *reader, struct car_log_page *page, bool narrowly) {
    const struct car_filter *filter = page->filter;
    struct car_place place;
    struct car_filling f;
    int err = find_place(reader, page->ask.tenant, &place);
    if (err || !car_filling_begin(&f, page, &place)) {
        return err;
    }
    if (filter && (narrowly || (!filter->types.len && !filter->words.len))) {
        narrow(&f);
    }
    if (!filter || !filter->nothing) {
        PGresult *rows = select_rows(reader, &f);
        err = rows ? take_all(reader, &f, rows) : CAR_ESYS;
        PQclear(rows);
    }
    return car_filling_finish(&f, err);
}

static int read_types(struct reader *reader, struct car_log_types *types) {
    struct car_pg_args args = {0};
    struct car_place place;
    types->count = 0;
    int err = find_place(reader, types->ask.tenant, &place);
    if (err) {
        return err;
    }
    types->newest = place.newest;
    types->forgotten = place.forgotten;
    car_pg_number(&args, place.n);
    car_pg_number(&args, CAR_LOG_TYPES_MAX);
    PGresult *results[2] = {NULL, NULL};
    err = car_pg_send(&reader->pg, COUNTS, &args);
    err = err ? err : car_pg_send(&reader->pg, "COMMIT", NULL);
    err = err ? err : car_pg_finish(&reader->pg, results);
    for (int i = 0; !err && i < PQntuples(results[0]); i++) {
        car_types_put(types, car_pg_column(results[0], i, 0), car_pg_column_number(results[0], i, 1));
    }
    PQclear(results[0]);
    PQclear(results[1]);
    return err;
}

/* What is wrong is said once. */
static int answered(struct reader *reader, int err) {
    if (err != CAR_ESYS) {
        reader->told = false;
    } else if (!reader->told) {
        car_log_error("store: the log cannot be read: %s", reader->pg.why);
        reader->told = true;
    }
    return err;
}

static int page(void *user, struct car_log_page *page) {
    struct reader *reader = user;
    bool narrowly = false;
    int err = ready(reader);
    /* Twice where the connection was lost meanwhile, or where it takes too long. */
    for (unsigned i = 0; i < 3 && !err; i++) {
        err = read_page(reader, page, narrowly);
        car_pg_rollback(&reader->pg); /* where it is not over */
        bool again =
            err == CAR_ESYS && (!reader->pg.connected || (!narrowly && strcmp(reader->pg.state, CANCELED) == 0));
        if (!again) {
            break;
        }
        narrowly = narrowly || reader->pg.connected;
        err = ready(reader);
    }
    return answered(reader, err);
}

static int types(void *user, struct car_log_types *types) {
    struct reader *reader = user;
    int err = ready(reader);
    err = err ? err : read_types(reader, types);
    car_pg_rollback(&reader->pg); /* where it is not over */
    if (err && !reader->pg.connected && ready(reader) == 0) {
        err = read_types(reader, types);
    }
    return answered(reader, err);
}

static void reader_free(void *user) {
    struct reader *reader = user;
    car_pg_close(&reader->pg);
    car_buf_free(&reader->scratch);
    car_buf_free(&reader->query);
    free(reader);
}

const struct car_reader_ops car_pg_reader_ops = {.page = page, .types = types, .free = reader_free};

void *car_pg_reader_open(const char *uri) {
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader) {
        reader->uri = uri;
    }
    return reader;
}
