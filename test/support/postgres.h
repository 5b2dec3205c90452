#ifndef CARILLON_TEST_SUPPORT_POSTGRES_H
#define CARILLON_TEST_SUPPORT_POSTGRES_H

#include <stddef.h>
#include <stdint.h>

/* A real PostgreSQL server (postgres.sh), begun at the first call and ended with the process. Fails hard. */

/* Makes a database that nobody has used; its URI goes to `uri`. */
void postgres_new(char *uri, size_t size);

/* Runs statements there. */
void postgres_run(const char *uri, const char *sql);

/* The number that a statement there says. */
int64_t postgres_number(const char *uri, const char *sql);

#endif
