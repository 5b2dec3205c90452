#ifndef CARILLON_STORE_SQLITE_SCHEMA_H
#define CARILLON_STORE_SQLITE_SCHEMA_H

#include <sqlite3.h>

/* What stands in a database's header (sqlite.org/fileformat2.html, section 1.3), to tell ours from all others. */
#define CAR_SQLITE_APPLICATION 0x436c6e31 /* "Cln1" */

/* Of the schema: what is understood, and what a database says of itself until it holds a traceparent. Versions 3 and 4
 * have the same tables. A column that a program of version 3 does not know is none of its business; an event that has
 * something in it, it would take for damaged. So until there is one, such a program may serve the log, as the one does
 * that goes on where an upgrade has failed. */
#define CAR_SQLITE_VERSION       4
#define CAR_SQLITE_VERSION_FIRST 3

/* The statement that has a database say so. */
#define CAR_SQLITE_SAY(version)  "PRAGMA user_version = " CAR_SQLITE_TEXT(version)
#define CAR_SQLITE_TEXT(version) #version

/* Brings a database of version `from` (0: it is empty) up to date, all of it or nothing. An SQLite result code. */
int car_sqlite_schema_update(sqlite3 *handle, unsigned from);

#endif
