#include "sqlite_reader.h"

#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/account.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/tenant.h"

#include "filling.h"
#include "sqlite_db.h"
#include "sqlite_match.h"
#include "sqlite_row.h"

/* How long a page with a filter may be looked for: whoever asked goes on from there. */
#define LOOK_US 8000

/* How many events one statement may walk through. */
#define WINDOW (UINT64_C(1) << 14)

enum statement { BEGIN, END, TENANT, UP, DOWN, ONE, TYPES, STATEMENTS };

static const char PLACE[] = "SELECT n, newest, forgotten FROM tenants WHERE id = ?1 AND removed = 0";
static const char ROWS_UP[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3"
                              " ORDER BY seq";
static const char ROWS_DOWN[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3"
                                " ORDER BY seq DESC";
static const char ROW[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq = ?2";
static const char COUNTS[] = "SELECT type, count FROM types WHERE tenant = ?1 AND count > 0"
                             " ORDER BY count DESC, type LIMIT ?2";

static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN",  [END] = "COMMIT", [TENANT] = PLACE, [UP] = ROWS_UP,
    [DOWN] = ROWS_DOWN, [ONE] = ROW,      [TYPES] = COUNTS,
};

struct reader {
    struct car_sqlite_db db;
    sqlite3_stmt *statements[STATEMENTS];
    struct car_buf scratch;
    struct car_match match;
};

static int failed(struct reader *reader, const char *what) {
    int err = car_sqlite_failed(&reader->db, what);
    car_log_error("store: %s", reader->db.why);
    return err;
}

static int step(struct reader *reader, enum statement which) {
    int status = sqlite3_step(reader->statements[which]);
    (void)sqlite3_reset(reader->statements[which]);
    return status == SQLITE_DONE ? 0 : failed(reader, "a reader's transaction fails");
}

static int find_place(struct reader *reader, const struct car_tenant *tenant, struct car_place *place) {
    sqlite3_stmt *statement = reader->statements[TENANT];
    struct car_span id = car_tenant_id(tenant);
    (void)sqlite3_bind_text(statement, 1, id.ptr, (int)id.len, SQLITE_STATIC);
    int status = sqlite3_step(statement);
    *place = (struct car_place){0};
    if (status == SQLITE_ROW) {
        *place = (struct car_place){sqlite3_column_int64(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1),
                                    (uint64_t)sqlite3_column_int64(statement, 2)};
    }
    if (car_tenant_is_removed(tenant)) {
        /* Looked at after the row was read: that may be another tenant's, of the same id. All of this one is forgotten.
         */
        *place = (struct car_place){-1, car_tenant_newest(tenant), car_tenant_newest(tenant)};
    }
    int err = status == SQLITE_ROW || status == SQLITE_DONE ? 0 : failed(reader, "a tenant is not read");
    (void)sqlite3_reset(statement);
    return err;
}

/* A page that is looked for. */
struct look {
    struct car_filling filling;
    uint64_t from;        /* where its `next` was at first */
    uint64_t deadline_us; /* where there is a filter */
    struct car_indexed indexed;
};

static bool has_more(const struct look *l) {
    return l->filling.page->descending ? l->filling.next >= l->filling.first : l->filling.next <= l->filling.last;
}

/* Whether it has taken long enough, and has come further. */
static bool is_late(const struct look *l) {
    return l->filling.page->filter && l->filling.next != l->from && car_clock_mono_us() >= l->deadline_us;
}

/* Looks at the event that the statement stands at. */
static int take(struct reader *reader, struct look *l, sqlite3_stmt *statement) {
    struct car_filling *f = &l->filling;
    struct car_event_row row;
    int err = car_sqlite_row(statement, car_tenant_id(f->page->ask.tenant), &row);
    if (err || row.seq != f->next) {
        return CAR_EINVAL; /* seqs have no hole */
    }
    return car_filling_take(f, &row, &reader->scratch);
}

static int damaged(void) {
    car_log_error("store: the database is damaged: an event is missing, or is none");
    return CAR_EINVAL;
}

/* Looks at one event after the other, up or down to `end`. */
static int scan(struct reader *reader, struct look *l, uint64_t end) {
    bool down = l->filling.page->descending;
    sqlite3_stmt *statement = reader->statements[down ? DOWN : UP];
    int err = 0;
    int status = SQLITE_ROW;
    (void)sqlite3_bind_int64(statement, 1, l->filling.place->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)(down ? end : l->filling.next));
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)(down ? l->filling.next : end));
    while (!err && !car_filling_is_full(&l->filling) && !is_late(l) &&
           (status = sqlite3_step(statement)) == SQLITE_ROW) {
        err = take(reader, l, statement);
    }
    if (!err && status != SQLITE_ROW && status != SQLITE_DONE) {
        err = failed(reader, "a page is not read");
    } else if (err == CAR_EINVAL || (!err && status == SQLITE_DONE && l->filling.next != (down ? end - 1 : end + 1))) {
        err = damaged();
    }
    (void)sqlite3_reset(statement);
    return err;
}

static int take_one(struct reader *reader, struct look *l, uint64_t seq) {
    sqlite3_stmt *statement = reader->statements[ONE];
    (void)sqlite3_bind_int64(statement, 1, l->filling.place->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)seq);
    int status = sqlite3_step(statement);
    l->filling.next = seq;
    int err = status == SQLITE_ROW    ? take(reader, l, statement)
              : status == SQLITE_DONE ? CAR_EINVAL
                                      : failed(reader, "a page is not read");
    if (err == CAR_EINVAL) {
        err = damaged();
    }
    (void)sqlite3_reset(statement);
    return err;
}

/* Looks at what the index has found, up or down to `end`, all of one block. Where the index is damaged there is none
 * from then on. */
static int look_up(struct reader *reader, struct look *l, uint64_t end) {
    bool down = l->filling.page->descending;
    uint64_t seq = 0;
    int found = 1;
    int err = car_match_look(&reader->match, l->filling.page->filter, down ? end : l->filling.next,
                             down ? l->filling.next : end, down);
    while (!err && !car_filling_is_full(&l->filling) && !is_late(l) &&
           (found = car_match_next(&reader->match, &seq)) > 0) {
        err = take_one(reader, l, seq);
    }
    car_match_stop(&reader->match);
    if (!err && found == 0) {
        l->filling.next = down ? end - 1 : end + 1;
    } else if (found < 0) {
        l->indexed = (struct car_indexed){.low = 1, .high = 0};
    }
    return err;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* How far the next look goes: to where the index begins or ends, and no further than one statement may. */
static uint64_t end_of_look(const struct look *l, bool indexed) {
    const struct car_indexed *i = &l->indexed;
    uint64_t low = l->filling.first;
    uint64_t high = l->filling.last;
    if (indexed) {
        uint64_t block = l->filling.next - l->filling.next % CAR_SEARCH_BLOCK;
        low = larger(low, larger(i->low, block));
        high = smaller(high, smaller(i->high, block + CAR_SEARCH_BLOCK - 1));
    } else if (i->low <= i->high && l->filling.next > i->high) {
        low = larger(low, i->high + 1);
    } else if (i->low <= i->high) {
        high = smaller(high, i->low - 1);
    }
    if (l->filling.page->filter && !indexed) {
        low = larger(low, l->filling.next > WINDOW ? l->filling.next - WINDOW : 1);
        high = smaller(high, l->filling.next + WINDOW);
    }
    return l->filling.page->descending ? low : high;
}

static int fill(struct reader *reader, struct look *l) {
    int err = 0;
    car_match_begin(&reader->match, l->filling.place->n, l->filling.page->filter, &l->indexed);
    while (!err && has_more(l) && !car_filling_is_full(&l->filling) && !is_late(l)) {
        bool indexed = l->filling.next >= l->indexed.low && l->filling.next <= l->indexed.high;
        uint64_t end = end_of_look(l, indexed);
        err = indexed ? look_up(reader, l, end) : scan(reader, l, end);
    }
    car_match_end(&reader->match);
    return err;
}

static int read_page(struct reader *reader, struct car_log_page *page) {
    struct car_place place;
    struct look look = {.deadline_us = car_clock_mono_us() + LOOK_US};
    int err = find_place(reader, page->ask.tenant, &place);
    if (err || !car_filling_begin(&look.filling, page, &place)) {
        return err;
    }
    look.from = look.filling.next;
    return car_filling_finish(&look.filling, fill(reader, &look));
}

static int read_types(struct reader *reader, struct car_log_types *types) {
    sqlite3_stmt *statement = reader->statements[TYPES];
    struct car_place place;
    int status = SQLITE_ROW;
    types->count = 0;
    int err = find_place(reader, types->ask.tenant, &place);
    types->newest = place.newest;
    types->forgotten = place.forgotten;
    (void)sqlite3_bind_int64(statement, 1, place.n);
    (void)sqlite3_bind_int64(statement, 2, CAR_LOG_TYPES_MAX);
    while (!err && types->count < CAR_LOG_TYPES_MAX && (status = sqlite3_step(statement)) == SQLITE_ROW) {
        car_types_put(types, car_sqlite_column(statement, 0), sqlite3_column_int64(statement, 1));
    }
    if (!err && status != SQLITE_ROW && status != SQLITE_DONE) {
        err = failed(reader, "types are not read");
    }
    (void)sqlite3_reset(statement);
    return err;
}

/* What is read in one transaction fits together. */
static int begin(struct reader *reader) {
    return step(reader, BEGIN);
}

static void finish(struct reader *reader) {
    if (!sqlite3_get_autocommit(reader->db.handle)) {
        (void)step(reader, END);
    }
}

static int page(void *user, struct car_log_page *page) {
    struct reader *reader = user;
    int err = begin(reader);
    err = err ? err : read_page(reader, page);
    finish(reader);
    if (!err && page->filter) {
        /* The index is another database, and may have let go of more than the transaction has seen forgotten. */
        struct car_place now;
        err = find_place(reader, page->ask.tenant, &now);
        page->forgotten = now.forgotten;
        if (err) {
            car_filling_drop(page);
        }
    }
    return err;
}

static int types(void *user, struct car_log_types *types) {
    struct reader *reader = user;
    int err = begin(reader);
    err = err ? err : read_types(reader, types);
    finish(reader);
    return err;
}

static void reader_free(void *user) {
    struct reader *reader = user;
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(reader->statements[i]);
    }
    car_sqlite_db_close(&reader->db);
    car_match_free(&reader->match);
    car_buf_free(&reader->scratch);
    free(reader);
}

const struct car_reader_ops car_sqlite_reader_ops = {.page = page, .types = types, .free = reader_free};

void *car_sqlite_reader_open(const char *path, struct car_search_file *search) {
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        return NULL;
    }
    car_match_init(&reader->match, search);
    int err = car_sqlite_db_open_reader(&reader->db, path);
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(&reader->db, &reader->statements[i], SQL[i]);
    }
    if (err) {
        reader_free(reader);
        return NULL;
    }
    return reader;
}
