#include "sqlite_match.h"

#include <string.h>

#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/filter.h"
#include "carillon/feed/words.h"

enum statement { BEGIN, END, PLACE, UP, DOWN, STATEMENTS };

static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [END] = "COMMIT",
    [PLACE] = "SELECT low, high, key FROM places WHERE n = ?1",
    [UP] = "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid",
    [DOWN] = "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC",
};

void car_match_init(struct car_match *match, struct car_search_file *file) {
    *match = (struct car_match){.file = file, .db.lock = -1};
}

static void disconnect(struct car_match *match) {
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(match->statements[i]);
        match->statements[i] = NULL;
    }
    car_sqlite_db_close(&match->db);
}

void car_match_free(struct car_match *match) {
    disconnect(match);
    car_buf_free(&match->asked);
}

static int failed(struct car_match *match) {
    if (atomic_exchange(&match->file->usable, false)) {
        car_log_warn("store: the search index is not used until it is made anew at the next start: %s",
                     sqlite3_errmsg(match->db.handle));
    }
    return CAR_EINVAL;
}

static bool connect(struct car_match *match) {
    int err = match->db.handle ? 0 : car_sqlite_db_open_reader(&match->db, match->file->path);
    for (int i = 0; i < STATEMENTS && !err && !match->statements[i]; i++) {
        err = car_sqlite_prepare(&match->db, &match->statements[i], SQL[i]);
    }
    if (err && match->db.handle) {
        (void)failed(match);
    }
    return !err;
}

static int step(struct car_match *match, enum statement which) {
    int status = sqlite3_step(match->statements[which]);
    (void)sqlite3_reset(match->statements[which]);
    return status == SQLITE_DONE ? 0 : failed(match);
}

static int find_place(struct car_match *match, int64_t n, struct car_indexed *out) {
    sqlite3_stmt *statement = match->statements[PLACE];
    (void)sqlite3_bind_int64(statement, 1, n);
    int status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        car_search_read_place(statement, out);
        memcpy(match->key, out->key, sizeof match->key);
    }
    (void)sqlite3_reset(statement);
    return status == SQLITE_ROW || status == SQLITE_DONE ? 0 : failed(match);
}

void car_match_begin(struct car_match *match, int64_t n, const struct car_filter *filter, struct car_indexed *out) {
    *out = (struct car_indexed){.low = 1, .high = 0};
    if (!match->file || !atomic_load(&match->file->usable)) {
        if (match->db.handle) {
            disconnect(match); /* its file is gone, or will be */
        }
        return;
    }
    match->n = n;
    if (filter && (filter->words.len || filter->types.len) && connect(match) && step(match, BEGIN) == 0) {
        (void)find_place(match, n, out);
    }
}

void car_match_end(struct car_match *match) {
    if (match->db.handle && !sqlite3_get_autocommit(match->db.handle)) {
        (void)step(match, END);
    }
}

/* Words hold letters and digits, types nothing that would end the quotes. */
static void put_term(struct car_match *match, uint64_t seq, char kind, struct car_span what, bool prefix) {
    car_buf_char(&match->asked, '"');
    car_search_term(&match->asked, match->n, match->key, seq, kind, what);
    car_buf_char(&match->asked, '"');
    if (prefix) {
        car_buf_char(&match->asked, '*');
    }
}

/* What is asked for in a block, in FTS5's words. */
static void put_asked(struct car_match *match, const struct car_filter *filter, uint64_t seq) {
    struct car_buf *out = &match->asked;
    struct car_span rest = car_buf_view(&filter->words);
    struct car_span one;
    out->len = 0;
    while (car_words_next(&rest, &one)) {
        bool prefix = one.len && one.ptr[one.len - 1] == '*';
        if (out->len) {
            CAR_BUF_LIT(out, " AND ");
        }
        put_term(match, seq, '_', car_span_of(one.ptr, one.len - prefix), prefix);
    }
    rest = car_buf_view(&filter->types);
    for (bool first = true; car_words_next(&rest, &one); first = false) {
        car_buf_span(out, !first ? CAR_SPAN(" OR ") : out->len ? CAR_SPAN(" AND (") : CAR_SPAN("("));
        put_term(match, seq, '=', one, false);
    }
    if (filter->types.len) {
        car_buf_char(out, ')');
    }
}

int car_match_look(struct car_match *match, const struct car_filter *filter, uint64_t first, uint64_t last,
                   bool descending) {
    sqlite3_stmt *statement = match->statements[descending ? DOWN : UP];
    match->descending = descending;
    put_asked(match, filter, first);
    if (match->asked.failed) {
        car_buf_free(&match->asked);
        return CAR_ENOMEM;
    }
    (void)sqlite3_bind_text(statement, 1, match->asked.data, (int)match->asked.len, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 2, car_search_row(match->n, first));
    (void)sqlite3_bind_int64(statement, 3, car_search_row(match->n, last));
    return 0;
}

int car_match_next(struct car_match *match, uint64_t *seq) {
    sqlite3_stmt *statement = match->statements[match->descending ? DOWN : UP];
    int status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        *seq = (uint64_t)sqlite3_column_int64(statement, 0) & ((UINT64_C(1) << CAR_SEARCH_SEQ_BITS) - 1);
    }
    return status == SQLITE_ROW ? 1 : status == SQLITE_DONE ? 0 : failed(match);
}

void car_match_stop(struct car_match *match) {
    (void)sqlite3_reset(match->statements[match->descending ? DOWN : UP]);
}
