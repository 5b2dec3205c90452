#ifndef CARILLON_STORE_SQLITE_SCHEMA_H
#define CARILLON_STORE_SQLITE_SCHEMA_H

#include <sqlite3.h>

/* What stands in a database's header (sqlite.org/fileformat2.html, section 1.3), to tell ours from all others. */
#define CAR_SQLITE_APPLICATION 0x436c6e31 /* "Cln1" */
#define CAR_SQLITE_VERSION     3          /* of the schema */

#define CAR_SQLITE_VERSION_TEXT CAR_SQLITE_TEXT_OF(CAR_SQLITE_VERSION)
#define CAR_SQLITE_TEXT_OF(x)   CAR_SQLITE_STRINGIFY(x)
#define CAR_SQLITE_STRINGIFY(x) #x

/* Brings a database of version `from` (0: it is empty) up to date, all of it or nothing. An SQLite result code. */
int car_sqlite_schema_update(sqlite3 *handle, unsigned from);

#endif
