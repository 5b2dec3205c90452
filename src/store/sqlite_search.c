#include "sqlite_search.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/base/siphash.h"
#include "carillon/feed/event.h"
#include "carillon/feed/words.h"

#include "sqlite_gaps.h"
#include "sqlite_row.h"

/* Of what is in the file. Another one, or another C library, whose letters may be others, makes it anew. */
#define FORMAT 2

enum statement { BEGIN, COMMIT, ROLLBACK, PLACE, MOVE, ADD, REMOVE, FORGET, STATEMENTS };

static const char PUT_PLACE[] =
    "INSERT INTO places (n, low, high, id, key) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (n) DO UPDATE"
    " SET low = excluded.low, high = excluded.high, id = ifnull(excluded.id, id)";

static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [PLACE] = "SELECT low, high, key FROM places WHERE n = ?1",
    [MOVE] = PUT_PLACE,
    [ADD] = "INSERT INTO search (rowid, words) VALUES (?1, ?2)",
    [REMOVE] = "INSERT INTO search (search, rowid, words) VALUES ('delete', ?1, ?2)",
    [FORGET] = "DELETE FROM places WHERE n = ?1",
};

/* Its commits are not synced: a power cut may take the last of them away, and leaves it whole. A key that is deleted is
 * overwritten. */
static const char SETTINGS[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = 1;";

/* No column sizes, no positions, no text: only which rows a term is in. The terms are told apart by the tokenizer as
 * they are written: letters of other scripts are bytes to it, and in lower case already. */
/* Tells it from other programs' databases: "Clns". */
#define APPLICATION 1131179635

static const char TABLES[] =
    "PRAGMA application_id = 1131179635;"
    "CREATE VIRTUAL TABLE search USING fts5 (words, content = '', columnsize = 0, detail = none,"
    " tokenize = \"ascii tokenchars '_.:-='\");"
    "CREATE TABLE places (n INTEGER PRIMARY KEY, low INTEGER NOT NULL, high INTEGER NOT NULL, id BLOB,"
    " key BLOB NOT NULL) STRICT;"
    "CREATE TABLE origin (name TEXT NOT NULL) STRICT;";

/* Another letter for one, by the key and all that stands before it; of the same kind, so that a term stays one to FTS5:
 * what a type or a word of ASCII has, or bytes of other letters. */
static char encipher(char letter, uint64_t by) {
    static const char LETTERS[] = "0123456789abcdefghijklmnopqrstuvwxyz_.:-";
    unsigned char byte = (unsigned char)letter;
    if (byte >= 0x80) {
        return (char)(0x80 | ((byte + by) & 0x7f));
    }
    const char *at = memchr(LETTERS, letter, sizeof LETTERS - 1);
    return at ? LETTERS[((uint64_t)(at - LETTERS) + by % (sizeof LETTERS - 1)) % (sizeof LETTERS - 1)] : letter;
}

void car_search_term(struct car_buf *out, int64_t n, const uint64_t key[2], uint64_t seq, char kind,
                     struct car_span word) {
    uint64_t before[2] = {0, (unsigned char)kind};
    car_buf_u64(out, (uint64_t)n);
    car_buf_char(out, '.');
    car_buf_u64(out, seq / CAR_SEARCH_BLOCK);
    car_buf_char(out, kind);
    for (size_t i = 0; i < word.len; i++) {
        char letter = word.ptr[i];
        letter = (char)(letter >= 'A' && letter <= 'Z' ? letter | 0x20 : letter);
        before[0] = car_siphash(key, before, sizeof before);
        before[1] = (unsigned char)letter;
        car_buf_char(out, encipher(letter, before[0]));
    }
}

/* Opening. */

static int exec(struct car_search *search, const char *sql) {
    return sqlite3_exec(search->db.handle, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : car_sqlite_failed(&search->db, "the search index is not made");
}

static bool has_fts5(sqlite3 *handle) {
    sqlite3_stmt *statement = NULL;
    bool has = sqlite3_prepare_v2(handle, "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'", -1, &statement,
                                  NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    return has;
}

/* What the index was made from and by. */
static void name_origin(struct car_buf *out, const char *epoch) {
    car_buf_printf(out, "%s %d %s", epoch, FORMAT, gnu_get_libc_version());
}

/* Whether the events that stand at its ends are the database's: one that was copied back from a backup has the same
 * epoch, and other events. One that has a tenant more may have lost its last commits in a power cut. */
static bool goes_with(struct car_search *search, sqlite3 *source) {
    sqlite3_stmt *places = NULL;
    sqlite3_stmt *event = NULL;
    bool good =
        sqlite3_prepare_v2(search->db.handle, "SELECT n, high, id FROM places", -1, &places, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(source,
                           "SELECT id FROM events WHERE tenant = ?1 AND seq = ?2 UNION ALL "
                           "SELECT NULL FROM tenants WHERE n = ?1 AND forgotten >= ?2",
                           -1, &event, NULL) == SQLITE_OK;
    int status = SQLITE_DONE;
    while (good && (status = sqlite3_step(places)) == SQLITE_ROW) {
        (void)sqlite3_bind_int64(event, 1, sqlite3_column_int64(places, 0));
        (void)sqlite3_bind_int64(event, 2, sqlite3_column_int64(places, 1));
        good = sqlite3_step(event) == SQLITE_ROW &&
               (sqlite3_column_type(event, 0) == SQLITE_NULL ||
                car_span_eq(car_sqlite_column(event, 0), car_sqlite_column(places, 2)));
        (void)sqlite3_reset(event);
    }
    (void)sqlite3_finalize(places);
    (void)sqlite3_finalize(event);
    return good && status == SQLITE_DONE;
}

static bool is_of(struct car_search *search, const char *epoch, sqlite3 *source) {
    struct car_buf name = CAR_BUF_INIT;
    sqlite3_stmt *statement = NULL;
    name_origin(&name, epoch);
    bool good = sqlite3_prepare_v2(search->db.handle, "SELECT name FROM origin", -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW &&
                car_span_eq(car_sqlite_column(statement, 0), car_buf_view(&name));
    (void)sqlite3_finalize(statement);
    car_buf_free(&name);
    return good && goes_with(search, source);
}

static int prepare(struct car_search *search) {
    int err = 0;
    for (int i = 0; i < STATEMENTS && !err; i++) {
        err = car_sqlite_prepare(&search->db, &search->statements[i], SQL[i]);
    }
    return err;
}

static int connect(struct car_search *search) {
    search->db = (struct car_sqlite_db){.lock = -1};
    if (sqlite3_open_v2(search->file->path, &search->db.handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        car_sqlite_gaps_vfs()) != SQLITE_OK) {
        return car_sqlite_failed(&search->db, search->file->path);
    }
    return 0;
}

static void disconnect(struct car_search *search) {
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(search->statements[i]);
        search->statements[i] = NULL;
    }
    car_sqlite_db_close(&search->db);
}

static void delete_file(const char *path) {
    static const char *const ENDS[] = {"-wal", "-shm", "-journal", ""};
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
        struct car_buf name = CAR_BUF_INIT;
        car_buf_printf(&name, "%s%s", path, ENDS[i]);
        car_buf_char(&name, '\0');
        if (!name.failed) {
            (void)unlink(name.data);
        }
        car_buf_free(&name);
    }
}

static int make(struct car_search *search, const char *epoch) {
    struct car_buf sql = CAR_BUF_INIT;
    disconnect(search);
    delete_file(search->file->path);
    int err = connect(search);
    err = err ? err : exec(search, SETTINGS);
    CAR_BUF_LIT(&sql, "BEGIN; ");
    car_buf_span(&sql, car_span_cstr(TABLES));
    CAR_BUF_LIT(&sql, "INSERT INTO origin VALUES ('");
    name_origin(&sql, epoch);
    CAR_BUF_LIT(&sql, "'); COMMIT\0");
    err = err ? err : sql.failed ? CAR_ENOMEM : exec(search, sql.data);
    car_buf_free(&sql);
    return err ? err : prepare(search);
}

static int64_t number(struct car_search *search, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int64_t n = 0;
    if (sqlite3_prepare_v2(search->db.handle, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        n = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return n;
}

static bool is_foreign(struct car_search *search) {
    return number(search, "SELECT count(*) FROM sqlite_schema") > 0 &&
           number(search, "PRAGMA application_id") != APPLICATION;
}

int car_search_open(struct car_search *search, struct car_search_file *file, const char *epoch, sqlite3 *source) {
    *search = (struct car_search){.file = file, .db.lock = -1};
    if (!has_fts5(source)) {
        snprintf(search->db.why, sizeof search->db.why, "this SQLite has no FTS5");
        return CAR_ENOENT;
    }
    int err = connect(search);
    if (!err && is_foreign(search)) {
        disconnect(search);
        snprintf(search->db.why, sizeof search->db.why, "%s is another program's database", file->path);
        return CAR_EEXIST;
    }
    if (err || !is_of(search, epoch, source) || exec(search, SETTINGS) != 0 || prepare(search) != 0) {
        err = make(search, epoch);
    }
    if (err) {
        disconnect(search);
        return err;
    }
    search->emptying = true; /* what a former process has left is not known */
    atomic_store(&file->usable, true);
    return 0;
}

void car_search_close(struct car_search *search, bool discard) {
    if (search->db.handle) {
        disconnect(search);
    }
    if (discard) {
        delete_file(search->file->path);
    }
    car_buf_free(&search->words);
    car_buf_free(&search->terms);
}

/* Writing. */

static int run(struct car_search *search, enum statement which) {
    sqlite3_stmt *statement = search->statements[which];
    int err = sqlite3_step(statement) == SQLITE_DONE ? 0 : car_sqlite_failed(&search->db, "the search index");
    (void)sqlite3_reset(statement);
    return err;
}

int car_search_begin(struct car_search *search) {
    return run(search, BEGIN);
}

int car_search_commit(struct car_search *search) {
    return run(search, COMMIT);
}

/* Nobody else writes or makes checkpoints here. */
void car_search_empty_wal(struct car_search *search) {
    sqlite3 *handle = search->db.handle;
    if (!search->emptying) {
        return;
    }
    (void)sqlite3_busy_timeout(handle, CAR_SQLITE_EMPTY_MS);
    if (sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK) {
        search->emptying = false;
        (void)sqlite3_db_release_memory(handle); /* its pages, which have gaps yet (sqlite_gaps.h) */
    }
    (void)sqlite3_busy_timeout(handle, 0);
}

bool car_search_undo(struct car_search *search) {
    int code = sqlite3_errcode(search->db.handle);
    bool for_now = code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_BUSY || code == SQLITE_CANTOPEN;
    if (for_now && !sqlite3_get_autocommit(search->db.handle)) {
        char why[sizeof search->db.why];
        memcpy(why, search->db.why, sizeof why);
        for_now = run(search, ROLLBACK) == 0;
        memcpy(search->db.why, why, sizeof why);
    }
    return for_now;
}

void car_search_read_place(sqlite3_stmt *statement, struct car_indexed *out) {
    struct car_span key = car_sqlite_column(statement, 2);
    out->low = (uint64_t)sqlite3_column_int64(statement, 0);
    out->high = (uint64_t)sqlite3_column_int64(statement, 1);
    memcpy(out->key, key.ptr, key.len == sizeof out->key ? key.len : 0);
}

int car_search_place(struct car_search *search, int64_t n, struct car_indexed *out) {
    sqlite3_stmt *statement = search->statements[PLACE];
    *out = (struct car_indexed){.low = 1, .high = 0};
    (void)sqlite3_bind_int64(statement, 1, n);
    int status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        car_search_read_place(statement, out);
    } else {
        car_random(out->key, sizeof out->key);
    }
    int err = status == SQLITE_ROW || status == SQLITE_DONE ? 0 : car_sqlite_failed(&search->db, "the search index");
    (void)sqlite3_reset(statement);
    return err;
}

int car_search_move(struct car_search *search, int64_t n, const struct car_indexed *indexed,
                    const struct car_uuid *id) {
    sqlite3_stmt *statement = search->statements[MOVE];
    (void)sqlite3_bind_int64(statement, 1, n);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)indexed->low);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)indexed->high);
    (void)sqlite3_bind_blob(statement, 4, id ? id->bytes : NULL, id ? (int)sizeof id->bytes : 0, SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 5, indexed->key, sizeof indexed->key, SQLITE_STATIC);
    return run(search, MOVE);
}

int car_search_forget(struct car_search *search, int64_t n) {
    (void)sqlite3_bind_int64(search->statements[FORGET], 1, n);
    int err = run(search, FORGET);
    search->emptying = search->emptying || sqlite3_changes(search->db.handle) > 0;
    return err;
}

/* The terms of an event, with a space behind each. */
static int put_terms(struct car_search *search, int64_t n, const uint64_t key[2], const struct car_event *event) {
    struct car_buf *out = &search->terms;
    struct car_span word;
    out->len = 0;
    search->words.len = 0;
    car_words_of(event, &search->words);
    struct car_span rest = car_buf_view(&search->words);
    car_search_term(out, n, key, event->seq, '=', car_event_type(event));
    while (car_words_next(&rest, &word)) {
        car_buf_char(out, ' ');
        car_search_term(out, n, key, event->seq, '_', word);
    }
    if (out->failed || search->words.failed) {
        car_buf_free(out);
        car_buf_free(&search->words);
        return CAR_ENOMEM;
    }
    return 0;
}

static int write_row(struct car_search *search, enum statement which, int64_t n, const uint64_t key[2],
                     const struct car_event *event) {
    sqlite3_stmt *statement = search->statements[which];
    int err = put_terms(search, n, key, event);
    if (err) {
        return err;
    }
    (void)sqlite3_bind_int64(statement, 1, car_search_row(n, event->seq));
    (void)sqlite3_bind_text(statement, 2, search->terms.data, (int)search->terms.len, SQLITE_STATIC);
    return run(search, which);
}

int car_search_add(struct car_search *search, int64_t n, const uint64_t key[2], const struct car_event *event) {
    return write_row(search, ADD, n, key, event);
}

int car_search_remove(struct car_search *search, int64_t n, const uint64_t key[2], const struct car_event *event) {
    return write_row(search, REMOVE, n, key, event);
}
