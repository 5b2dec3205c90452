#include "sqlite_reader.h"

#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"

#include "sqlite_db.h"
#include "sqlite_row.h"

/* How many events of a range are looked at for one page. */
#define WINDOW (UINT64_C(1) << 14)

enum statement { BEGIN, END, TENANT, UP, DOWN, TYPES, STATEMENTS };

static const char ROWS_UP[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3"
                              " ORDER BY seq";
static const char ROWS_DOWN[] = "SELECT " CAR_SQLITE_ROW " FROM events WHERE tenant = ?1 AND seq BETWEEN ?2 AND ?3"
                                " ORDER BY seq DESC";
static const char COUNTS[] = "SELECT type, count FROM types WHERE tenant = ?1 AND count > 0"
                             " ORDER BY count DESC, type LIMIT ?2";

static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN", [END] = "COMMIT",   [TENANT] = "SELECT n, newest, forgotten FROM tenants WHERE id = ?1",
    [UP] = ROWS_UP,    [DOWN] = ROWS_DOWN, [TYPES] = COUNTS,
};

struct reader {
    struct car_sqlite_db db;
    sqlite3_stmt *statements[STATEMENTS];
    struct car_buf scratch;
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
    uint64_t next;        /* the seq that is to come; where there is a filter, the one behind the last that was read */
    size_t bytes;
};

static bool is_full(const struct filling *f) {
    return f->page->count == f->page->max_events || (f->page->count && f->bytes >= f->page->max_bytes);
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

static int fill(struct reader *reader, struct filling *f, const struct place *place) {
    sqlite3_stmt *statement = reader->statements[f->page->descending ? DOWN : UP];
    int err = 0;
    int status = SQLITE_ROW;
    (void)sqlite3_bind_int64(statement, 1, place->n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)f->first);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)f->last);
    while (!err && !is_full(f) && (status = sqlite3_step(statement)) == SQLITE_ROW) {
        err = take(reader, f, statement);
    }
    if (!err && status != SQLITE_ROW && status != SQLITE_DONE) {
        err = failed(reader, "a page is not read");
    } else if (err == CAR_EINVAL ||
               (!err && status == SQLITE_DONE && f->next != (f->page->descending ? f->first - 1 : f->last + 1))) {
        car_log_error("store: the database is damaged: an event is missing, or is none");
        err = CAR_EINVAL;
    }
    (void)sqlite3_reset(statement);
    return err;
}

/* The part of the page's range that one look takes, and that is there. false where there is nothing to be read; then
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
    if (page->filter && last - first >= WINDOW) {
        *(page->descending ? &first : &last) = page->descending ? last - WINDOW + 1 : first + WINDOW - 1;
    }
    *f = (struct filling){.page = page, .first = first, .last = last, .next = page->descending ? last : first};
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
    car_buf_free(&reader->scratch);
    free(reader);
}

const struct car_reader_ops car_sqlite_reader_ops = {.page = page, .types = types, .free = reader_free};

void *car_sqlite_reader_open(const char *path) {
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        return NULL;
    }
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
