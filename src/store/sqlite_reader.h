#ifndef CARILLON_STORE_SQLITE_READER_H
#define CARILLON_STORE_SQLITE_READER_H

#include "pages.h"

/* Answers questions from an SQLite database: a connection for one thread. */

/* NULL where it cannot be opened. */
void *car_sqlite_reader_open(const char *path);

extern const struct car_reader_ops car_sqlite_reader_ops;

#endif
