#ifndef CARILLON_STORE_SQLITE_SEARCH_H
#define CARILLON_STORE_SQLITE_SEARCH_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"

#include "sqlite_db.h"

struct car_event;
struct car_uuid;

/*
 * The index of the events' words and types: an FTS5 table in a file of its own beside the database, "PATH-search",
 * written by the upkeep's thread when there is something new, so that no commit waits for it. All in it can be made
 * anew from the database: a file that is missing, damaged, or another log's, is.
 *
 * An event's row is n << 41 | seq, n being its tenant's number. A term is "n.block_word", or "n.block=type": so it
 * belongs to one tenant, and to CAR_SEARCH_BLOCK seqs, and however common a word or short a prefix is, a look at one
 * block costs no more than those can. What a look finds may be too much (types differ in case), never too little.
 *
 * Word and type are enciphered, under a key that the tenant's place has: FTS5 keeps what was deleted until it happens
 * to merge the segments that have it, and has no way to be told. When the tenant goes, its key goes, and what is left
 * of its words is nothing to anybody. Words that begin alike do so enciphered, so that beginnings can be looked for.
 */
#define CAR_SEARCH_SEQ_BITS 41
#define CAR_SEARCH_N_MAX    (INT64_C(1) << 21)
#define CAR_SEARCH_BLOCK    (UINT64_C(1) << 16)

/* A tenant's place: which of its events are in it, those from low to high, none where high is less; and under which
 * key. */
struct car_indexed {
    uint64_t low, high;
    uint64_t key[2];
};

/* What the threads share. */
struct car_search_file {
    char *path;
    atomic_bool usable; /* turned off by whoever finds that it is damaged, for good */
};

/* Whether an event can be in it at all. */
static inline bool car_search_has_room(int64_t n, uint64_t seq) {
    return n >= 0 && n < CAR_SEARCH_N_MAX && seq < UINT64_C(1) << CAR_SEARCH_SEQ_BITS;
}

static inline int64_t car_search_row(int64_t n, uint64_t seq) {
    return (int64_t)((uint64_t)n << CAR_SEARCH_SEQ_BITS | seq);
}

/* What a row of `low, high, key` says of a place. */
void car_search_read_place(sqlite3_stmt *statement, struct car_indexed *out);

/* Appends the term of a word (kind '_'), or the beginning of one, or of a type (kind '='). */
void car_search_term(struct car_buf *out, int64_t n, const uint64_t key[2], uint64_t seq, char kind,
                     struct car_span word);

/* Writing, on the upkeep's thread. Each returns 0, or CAR_ESYS after which nothing more is to be written; `db.why` says
 * what is wrong. */
struct car_search {
    struct car_search_file *file;
    struct car_sqlite_db db;
    sqlite3_stmt *statements[8];
    struct car_buf words, terms;
    bool emptying; /* the WAL may have the key of a tenant that is gone */
};

/* Opens the file; makes it anew where it is not of the log of that epoch, or does not go with `source`, which is a
 * connection to the log's database. CAR_ENOENT where this SQLite has no FTS5. */
int car_search_open(struct car_search *search, struct car_search_file *file, const char *epoch, sqlite3 *source);

/* Harmless where opening failed. `discard`: deletes the file. */
void car_search_close(struct car_search *search, bool discard);

int car_search_begin(struct car_search *search);
int car_search_commit(struct car_search *search);

/* After a failure: undoes what was begun. Whether the index is as whole as it was before, and may be written again when
 * there is room. */
bool car_search_undo(struct car_search *search);

/* Once a second: where a tenant has gone, nothing of its key is to be left in the WAL. Where readers are in the way,
 * and where it fails, later. */
void car_search_empty_wal(struct car_search *search);

/* The tenant's place, or one with a new key that nobody knows until it is moved. */
int car_search_place(struct car_search *search, int64_t n, struct car_indexed *out);

/* Within begin and commit. `event` is at one end of what is indexed; move says so then. */
int car_search_add(struct car_search *search, int64_t n, const uint64_t key[2], const struct car_event *event);
int car_search_remove(struct car_search *search, int64_t n, const uint64_t key[2], const struct car_event *event);

/* `id` is that of the event at `high`; NULL where that has not changed. */
int car_search_move(struct car_search *search, int64_t n, const struct car_indexed *indexed, const struct car_uuid *id);

/* Nothing of the tenant is in it any more: its key goes, and its number may be another's. Within begin and commit. */
int car_search_forget(struct car_search *search, int64_t n);

#endif
