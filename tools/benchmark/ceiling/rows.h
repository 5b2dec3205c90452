#ifndef CARILLON_CEILING_ROWS_H
#define CARILLON_CEILING_ROWS_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

/* A value as it came out of the database. */
struct cell {
    int type; /* SQLITE_INTEGER, ... */
    int len;  /* of a text or blob */
    union {
        sqlite3_int64 integer;
        double real;
        const char *bytes;
    };
};

/* All rows of a table, in memory. Starts as zeros. */
struct rows {
    char *columns;      /* their quoted names, with commas between */
    char *placeholders; /* ?1, ?2... for as many */
    int width;
    size_t count, capacity;
    struct cell *cells; /* count times width */
};

/* Reads the table, ordered as `order` says (SQL; "" for any order). Returns 0, or -1 where SQLite's message says why.
 */
int rows_read(sqlite3 *db, const char *table, const char *order, struct rows *rows);
void rows_free(struct rows *rows);

/* The number of a column of that name; -1 where there is none. */
int rows_column(const struct rows *rows, const char *name);

struct cell *rows_at(const struct rows *rows, size_t row);

/* Binds a row to ?1, ?2...; its bytes are borrowed until the next binding. */
void rows_bind(const struct rows *rows, size_t row, sqlite3_stmt *statement);

#endif
