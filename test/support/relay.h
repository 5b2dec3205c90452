#ifndef CARILLON_TEST_SUPPORT_RELAY_H
#define CARILLON_TEST_SUPPORT_RELAY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Stands between a client and a PostgreSQL server on the loopback, and loses what the server answers when it is told
 * to: what was asked for has been done then, and the connection ends unheard. A thread of its own. Fails hard.
 */

/* Begins, for the server that the URI names; `through` is the same database by way of the relay. */
void relay_open(const char *uri, char *through, size_t size);

/* Whether answers are lost from now on. */
void relay_lose(bool lose);

/* How many connections have ended so. */
unsigned relay_lost(void);

/* All connections end. */
void relay_close(void);

#endif
