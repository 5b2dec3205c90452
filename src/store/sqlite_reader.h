#ifndef CARILLON_STORE_SQLITE_READER_H
#define CARILLON_STORE_SQLITE_READER_H

#include "pages.h"

/* Answers questions from an SQLite database: a connection for one thread. */

struct car_search_file;

/* With the search index, which may be made later, or never. NULL where it cannot be opened. */
void *car_sqlite_reader_open(const char *path, struct car_search_file *search);

extern const struct car_reader_ops car_sqlite_reader_ops;

#endif
