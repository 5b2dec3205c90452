#include "sqlite_reader.h"

#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"

#include "sqlite_db.h"
#include "sqlite_match.h"
#include "sqlite_row.h"

/* How long a page with a filter may be looked for: whoever asked goes on from there. */
#define LOOK_US 8000

/* How many events one statement may walk through. */
#define WINDOW (UINT64_C(1) << 14)

enum statement { BEGIN, END, TENANT, UP, DOWN, ONE, TYPES, STATEMENTS };

static const char ROWS_UP[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3"
                              " ORDER BY seq";
static const char ROWS_DOWN[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3"
                                " ORDER BY seq DESC";
static const char ROW[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq = ?2";
static const char COUNTS[] = "SELECT type, count FROM types WHERE tenant = ?1 AND count > 0"
                             " ORDER BY count DESC, type LIMIT ?2";

static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN", [END] = "COMMIT",   [TENANT] = "SELECT n, newest, forgotten FROM tenants WHERE id = ?1",
    [UP] = ROWS_UP,    [DOWN] = ROWS_DOWN, [ONE] = ROW,
    [TYPES] = COUNTS,
};

struct reader {
    struct car_sqlite_db db;
    sqlite3_stmt *statements[STATEMENTS];
    struct car_buf scratch;
    struct car_match match;
};

/* What the database has of a tenant, in one transaction with what is read then. */
struct place {
    int64_t n;
    uint64_t newest, forgotten; /* newest: 0 where the tenant is not there yet */
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

static int find_place(struct reader *reader, const struct car_tenant *tenant, struct place *place) {
    sqlite3_stmt *statement = reader->statements[TENANT];
    struct car_span id = car_tenant_id(tenant);
    (void)sqlite3_bind_text(statement, 1, id.ptr, (int)id.len, SQLITE_STATIC);
    int status = sqlite3_step(statement);
    *place = (struct place){0};
    if (status == SQLITE_ROW) {
        *place = (struct place){sqlite3_column_int64(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1),
                                (uint64_t)sqlite3_column_int64(statement, 2)};
    }
    int err = status == SQLITE_ROW || status == SQLITE_DONE ? 0 : failed(reader, "a tenant is not read");
    (void)sqlite3_reset(statement);
    return err;
}

/* A page on its way. */
struct filling {
    struct car_log_page *page;
    uint64_t first, last; /* of what is read, both included */
    uint64_t next;        /* the seq that is to come: what lies before it has been looked at */
    uint64_t from;        /* where that was at first */
    size_t bytes;
    uint64_t deadline_us; /* where there is a filter */
    struct car_indexed indexed;
};

static bool is_full(const struct filling *f) {
    return f->page->count == f->page->max_events || (f->page->count && f->bytes >= f->page->max_bytes);
}

static bool has_more(const struct filling *f) {
    return f->page->descending ? f->next >= f->first : f->next <= f->last;
}

/* Whether it has taken long enough, and has come further. */
static bool is_late(const struct filling *f) {
    return f->page->filter && f->next != f->from && car_clock_mono_us() >= f->deadline_us;
}

/* Takes the event that the statement stands at, where it passes. */
static int take(struct reader *reader, struct filling *f, sqlite3_stmt *statement) {
    struct car_log_page *page = f->page;
    struct car_event_row row;
    int err = car_sqlite_row(statement, car_tenant_id(page->ask.tenant), &row);
    if (err || row.seq != f->next) {
        return CAR_EINVAL; /* seqs have no hole */
    }
    f->next = page->descending ? row.seq - 1 : row.seq + 1;
    if (page->filter && !car_filter_admits(page->filter, row.type, row.wall_ms)) {
        return 0;
    }
    struct car_event *event = car_event_restore(page->ask.tenant, &row);
    if (!event) {
        return CAR_ENOMEM;
    }
    if (page->filter && !car_filter_passes(page->filter, event, &reader->scratch)) {
        car_event_unref(&event);
        return 0;
    }
    f->bytes += car_event_json(event).len;
    page->events[page->count++] = event;
    return 0;
}

static int damaged(void) {
    car_log_error("store: the database is damaged: an event is missing, or is none");
    return CAR_EINVAL;
}

/* Looks at one event after the other, up or down to `end`. */
static int scan(struct reader *reader, struct filling *f, const struct place *place, uint64_t end) {
    bool down = f->page->descending;
    sqlite3_stmt *statement = reader->statements[down ? DOWN : UP];
    int err = 0;
    int status = SQLITE_ROW;
    (void)sqlite3_bind_int64(statement, 1, place->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)(down ? end : f->next));
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)(down ? f->next : end));
    while (!err && !is_full(f) && !is_late(f) && (status = sqlite3_step(statement)) == SQLITE_ROW) {
        err = take(reader, f, statement);
    }
    if (!err && status != SQLITE_ROW && status != SQLITE_DONE) {
        err = failed(reader, "a page is not read");
    } else if (err == CAR_EINVAL || (!err && status == SQLITE_DONE && f->next != (down ? end - 1 : end + 1))) {
        err = damaged();
    }
    (void)sqlite3_reset(statement);
    return err;
}

static int take_one(struct reader *reader, struct filling *f, const struct place *place, uint64_t seq) {
    sqlite3_stmt *statement = reader->statements[ONE];
    (void)sqlite3_bind_int64(statement, 1, place->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)seq);
    int status = sqlite3_step(statement);
    f->next = seq;
    int err = status == SQLITE_ROW    ? take(reader, f, statement)
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
static int look_up(struct reader *reader, struct filling *f, const struct place *place, uint64_t end) {
    bool down = f->page->descending;
    uint64_t seq = 0;
    int found = 1;
    int err = car_match_look(&reader->match, f->page->filter, down ? end : f->next, down ? f->next : end, down);
    while (!err && !is_full(f) && !is_late(f) && (found = car_match_next(&reader->match, &seq)) > 0) {
        err = take_one(reader, f, place, seq);
    }
    car_match_stop(&reader->match);
    if (!err && found == 0) {
        f->next = down ? end - 1 : end + 1;
    } else if (found < 0) {
        f->indexed = (struct car_indexed){.low = 1, .high = 0};
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
static uint64_t end_of_look(const struct filling *f, bool indexed) {
    const struct car_indexed *i = &f->indexed;
    uint64_t low = f->first;
    uint64_t high = f->last;
    if (indexed) {
        uint64_t block = f->next - f->next % CAR_SEARCH_BLOCK;
        low = larger(low, larger(i->low, block));
        high = smaller(high, smaller(i->high, block + CAR_SEARCH_BLOCK - 1));
    } else if (i->low <= i->high && f->next > i->high) {
        low = larger(low, i->high + 1);
    } else if (i->low <= i->high) {
        high = smaller(high, i->low - 1);
    }
    if (f->page->filter && !indexed) {
        low = larger(low, f->next > WINDOW ? f->next - WINDOW : 1);
        high = smaller(high, f->next + WINDOW);
    }
    return f->page->descending ? low : high;
}

static int fill(struct reader *reader, struct filling *f, const struct place *place) {
    int err = 0;
    car_match_begin(&reader->match, place->n, f->page->filter, &f->indexed);
    while (!err && has_more(f) && !is_full(f) && !is_late(f)) {
        bool indexed = f->next >= f->indexed.low && f->next <= f->indexed.high;
        uint64_t end = end_of_look(f, indexed);
        err = indexed ? look_up(reader, f, place, end) : scan(reader, f, place, end);
    }
    car_match_end(&reader->match);
    return err;
}

/* The part of the page's range that is there. false where there is nothing to be read; then
 * page->seen is right. */
static bool range_of(struct car_log_page *page, const struct place *place, struct filling *f) {
    uint64_t first = page->first > place->forgotten ? page->first : place->forgotten + 1;
    uint64_t last = page->last;
    if ((page->descending ? last : first) > place->newest) {
        page->seen = 0;
        return false;
    }
    last = last < place->newest ? last : place->newest;
    if (first > last) {
        page->seen = page->last - page->first + 1; /* all of it has been forgotten */
        return false;
    }
    *f = (struct filling){.page = page, .first = first, .last = last, .next = page->descending ? last : first};
    f->from = f->next;
    f->deadline_us = car_clock_mono_us() + LOOK_US;
    if (page->filter && page->filter->nothing) {
        f->next = page->descending ? first - 1 : last + 1;
    }
    return true;
}

static void let_go(struct car_log_page *page) {
    while (page->count) {
        car_event_unref(&page->events[--page->count]);
    }
}

static int read_page(struct reader *reader, struct car_log_page *page) {
    struct place place;
    struct filling f;
    page->count = 0;
    int err = find_place(reader, page->ask.tenant, &place);
    page->forgotten = place.forgotten;
    if (err || !range_of(page, &place, &f)) {
        return err;
    }
    err = fill(reader, &f, &place);
    if (err) {
        let_go(page);
        return err;
    }
    page->seen = page->descending ? page->last - f.next : f.next - page->first;
    if (page->descending && f.next <= place.forgotten) {
        page->seen = page->last - page->first + 1;
    }
    return 0;
}

static int read_types(struct reader *reader, struct car_log_types *types) {
    sqlite3_stmt *statement = reader->statements[TYPES];
    struct place place;
    int status = SQLITE_ROW;
    types->count = 0;
    int err = find_place(reader, types->ask.tenant, &place);
    types->newest = place.newest;
    types->forgotten = place.forgotten;
    (void)sqlite3_bind_int64(statement, 1, place.n);
    (void)sqlite3_bind_int64(statement, 2, CAR_LOG_TYPES_MAX);
    while (!err && types->count < CAR_LOG_TYPES_MAX && (status = sqlite3_step(statement)) == SQLITE_ROW) {
        struct car_log_type *type = &types->types[types->count++];
        struct car_span name = car_sqlite_column(statement, 0);
        size_t len = name.len < sizeof type->type ? name.len : sizeof type->type - 1;
        memcpy(type->type, name.ptr, len);
        type->type[len] = '\0';
        type->count = (uint64_t)sqlite3_column_int64(statement, 1);
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
        struct place now;
        err = find_place(reader, page->ask.tenant, &now);
        page->forgotten = now.forgotten;
        if (err) {
            let_go(page);
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
