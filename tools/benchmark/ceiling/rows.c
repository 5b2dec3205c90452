#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory) {
    if (!memory) {
        fputs("carillon-ceiling: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

/* The end of the text replaced by a longer one. */
static char *append(char *text, char *more) {
    char *joined = must(sqlite3_mprintf("%s%s%s", text ? text : "", text ? ", " : "", must(more)));
    sqlite3_free(text);
    sqlite3_free(more);
    return joined;
}

static int read_columns(sqlite3 *db, const char *table, struct rows *rows) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info(?1) ORDER BY cid", -1, &statement, NULL) !=
        SQLITE_OK) {
        return -1;
    }
    (void)sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    int status;
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        rows->columns = append(rows->columns, sqlite3_mprintf("\"%w\"", name));
        rows->placeholders = append(rows->placeholders, sqlite3_mprintf("?%d", ++rows->width));
    }
    (void)sqlite3_finalize(statement);
    return status == SQLITE_DONE ? 0 : -1;
}

static struct cell cell_of(sqlite3_stmt *statement, int column) {
    struct cell cell = {.type = sqlite3_column_type(statement, column)};
    if (cell.type == SQLITE_INTEGER) {
        cell.integer = sqlite3_column_int64(statement, column);
    } else if (cell.type == SQLITE_FLOAT) {
        cell.real = sqlite3_column_double(statement, column);
    } else if (cell.type != SQLITE_NULL) {
        const void *bytes = sqlite3_column_blob(statement, column);
        cell.len = sqlite3_column_bytes(statement, column);
        char *copy = must(malloc((size_t)cell.len + 1));
        if (cell.len > 0) {
            memcpy(copy, bytes, (size_t)cell.len);
        }
        cell.bytes = copy;
    }
    return cell;
}

static void add_row(struct rows *rows, sqlite3_stmt *statement) {
    size_t width = (size_t)rows->width;
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? rows->capacity * 2 : 1024;
        rows->cells = must(realloc(rows->cells, rows->capacity * width * sizeof *rows->cells));
    }
    struct cell *cells = &rows->cells[rows->count++ * width];
    for (int i = 0; i < rows->width; i++) {
        cells[i] = cell_of(statement, i);
    }
}

int rows_read(sqlite3 *db, const char *table, const char *order, struct rows *rows) {
    if (read_columns(db, table, rows) != 0) {
        return -1;
    }
    char *sql = must(sqlite3_mprintf("SELECT %s FROM \"%w\" %s", rows->columns ? rows->columns : "*", table, order));
    sqlite3_stmt *statement;
    int status = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    if (status != SQLITE_OK) {
        return -1;
    }
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
        add_row(rows, statement);
    }
    (void)sqlite3_finalize(statement);
    return status == SQLITE_DONE ? 0 : -1;
}

void rows_free(struct rows *rows) {
    for (size_t i = 0; i < rows->count * (size_t)rows->width; i++) {
        if (rows->cells[i].type == SQLITE_TEXT || rows->cells[i].type == SQLITE_BLOB) {
            free((void *)(uintptr_t)rows->cells[i].bytes);
        }
    }
    free(rows->cells);
    sqlite3_free(rows->columns);
    sqlite3_free(rows->placeholders);
    *rows = (struct rows){0};
}

int rows_column(const struct rows *rows, const char *name) {
    const char *at = rows->columns;
    size_t len = strlen(name);
    for (int i = 0; i < rows->width; i++) {
        if (strncmp(at + 1, name, len) == 0 && at[1 + len] == '"') {
            return i;
        }
        at = strchr(at, ',');
        at = at ? at + 2 : "\"\"";
    }
    return -1;
}

struct cell *rows_at(const struct rows *rows, size_t row) {
    return &rows->cells[row * (size_t)rows->width];
}

void rows_bind(const struct rows *rows, size_t row, sqlite3_stmt *statement) {
    const struct cell *cells = rows_at(rows, row);
    for (int i = 0; i < rows->width; i++) {
        const struct cell *cell = &cells[i];
        switch (cell->type) {
        case SQLITE_INTEGER:
            (void)sqlite3_bind_int64(statement, i + 1, cell->integer);
            break;
        case SQLITE_FLOAT:
            (void)sqlite3_bind_double(statement, i + 1, cell->real);
            break;
        case SQLITE_TEXT:
            (void)sqlite3_bind_text(statement, i + 1, cell->bytes, cell->len, SQLITE_STATIC);
            break;
        case SQLITE_BLOB:
            (void)sqlite3_bind_blob(statement, i + 1, cell->bytes, cell->len, SQLITE_STATIC);
            break;
        default:
            (void)sqlite3_bind_null(statement, i + 1);
        }
    }
}
