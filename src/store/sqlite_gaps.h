#ifndef CARILLON_STORE_SQLITE_GAPS_H
#define CARILLON_STORE_SQLITE_GAPS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Gaps in pages. A b-tree page has its cells at its end, pointers to them at its beginning, and a gap in between
 * (SQLite's file format, sqlite.org/fileformat2.html, section 1.6). Where SQLite spreads cells anew over neighbouring
 * pages, copies of those that moved away stay in the gap; `PRAGMA secure_delete` overwrites what is deleted, and knows
 * nothing of such a copy. So a database whose deleted rows are to leave nothing behind is written through here: each
 * page has zeros in its gap when it comes to the file. The WAL has pages as they are, until it begins anew
 * (sqlite_checkpoint.h), and so has the connection's cache (sqlite3_db_release_memory).
 *
 * Pages that were written otherwise have zeros from the next time on that they are written.
 */

/* What sqlite3_open_v2 is to be told as the VFS: SQLite's own, but for that. Any thread. */
const char *car_sqlite_gaps_vfs(void);

struct car_sqlite_gap {
    size_t from, to;
};

/* Where the gap of a page is, of `size` bytes, and of `header` bytes before its own (100 on the first page of a file,
 * else 0). false: it is no page of a b-tree, or has none. */
bool car_sqlite_gap_find(const unsigned char *page, size_t size, size_t header, struct car_sqlite_gap *out);

#endif
