#ifndef CARILLON_STORE_SQLITE_DB_H
#define CARILLON_STORE_SQLITE_DB_H

#include <sqlite3.h>
#include <stddef.h>
#include <sys/stat.h>

/* How long it is waited for another process that looks into the database. */
#define CAR_SQLITE_BUSY_MS 2000

/* How long whoever empties a WAL waits for who reads it. All of it is in the database then, so that who begins to read
 * meanwhile does not use it: this is for those that are at it. */
#define CAR_SQLITE_EMPTY_MS 20

/* A database that is ours alone. */
struct car_sqlite_db {
    sqlite3 *handle;
    unsigned version; /* of its schema, as it was opened (sqlite_schema.h) */
    int lock;         /* a descriptor of the file, locked for as long as it is open; -1 while there is none */
    char why[200];    /* the last failure, in one line */
    char *path[2];    /* of the database and of its WAL, and which files these are */
    struct stat file[2];
};

/*
 * Opens the database at a path, makes it where there is none, and brings its schema up to date. 0; else a negative
 * code, `why` says in one line what is wrong, and the file is as it was. `inherited` is a descriptor that may have the
 * lock on it already, from a former process; it is taken over, or, where it is another file's, closed. 0: there is
 * none.
 */
int car_sqlite_db_open(struct car_sqlite_db *db, const char *path, int inherited, char *why, size_t size);

/* Another connection to it, which only reads, for another thread. Without the lock: the first one holds it, and is
 * closed last. */
int car_sqlite_db_open_reader(struct car_sqlite_db *db, const char *path);

/* And one for what is done beside the commits: it syncs as they do, and checkpoints where it is told to. */
int car_sqlite_db_open_upkeep(struct car_sqlite_db *db, const char *path);

/* Harmless when repeated, and where opening failed. */
void car_sqlite_db_close(struct car_sqlite_db *db);

/* Whether the database and its WAL are still where they were: what is written to a file that was removed is lost. 0;
 * CAR_ESYS, and `why` says what is wrong. */
int car_sqlite_db_stays(struct car_sqlite_db *db);

/* Prepares a statement that is kept. 0; CAR_ESYS, and `why` says what is wrong. */
int car_sqlite_prepare(struct car_sqlite_db *db, sqlite3_stmt **out, const char *sql);

/* Puts what SQLite has to say in `why`, and returns CAR_ESYS. */
int car_sqlite_failed(struct car_sqlite_db *db, const char *what);

#endif
