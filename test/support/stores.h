#ifndef CARILLON_TEST_SUPPORT_STORES_H
#define CARILLON_TEST_SUPPORT_STORES_H

#include <stdbool.h>
#include <stdint.h>

#include "feed_fixture.h"

/* Every store that there is, by name, the log in memory first; so that one test is run on each. */
#define STORE_NAMES                                                                                                    \
    { "memory", "commit", "relaxed", "postgres", "postgres relaxed" }

/* A folder for SQLite's files, which goes with the process. */
void store_folder(void);

/* The next that is opened is a database that nobody has used. */
void store_new(void);

/* Opens the fixture with a log of that name, in the database of store_new, with its threads running. `retain`: how many
 * events of a tenant the server keeps; 0: all. */
void store_open(struct feed_fixture *f, const char *store, unsigned workers, uint32_t keep, uint64_t retain);

/* Of the one that is open, or was last. */
bool store_is_postgres(void);
const char *store_path(void); /* of an SQLite database */
const char *store_uri(void);  /* of a PostgreSQL one */

/* The number that a statement says, whose tables both kinds have; -1 where it says none. The second asks SQLite's index
 * of words. */
int64_t store_number(const char *sql);
int64_t store_search_number(const char *sql);

/* Has a SQLite database changed behind the back of whoever has it open; asserts that it was. */
void store_change(const char *database, const char *sql);

/* Waits for a number that one of these two says, and asserts that it comes. */
void store_becomes(int64_t (*number)(const char *sql), const char *sql, int64_t want);

#endif
