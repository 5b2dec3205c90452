#ifndef CARILLON_STORE_POSTGRES_READER_H
#define CARILLON_STORE_POSTGRES_READER_H

#include "pages.h"

/* Answers questions from a PostgreSQL database: a connection for one thread, which is made at the first question, and
 * again where it was lost. */

/* NULL where there is no memory. The URI outlives it. */
void *car_pg_reader_open(const char *uri);

extern const struct car_reader_ops car_pg_reader_ops;

#endif
