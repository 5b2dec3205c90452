#ifndef CARILLON_LOAD_DELIVERY_H
#define CARILLON_LOAD_DELIVERY_H

#include <stddef.h>

struct conn;
struct load;

/* Checks an event that came to the socket: of this run, of the socket's tenant, and the next one of its publisher; then
 * counts it. `wire` is its length with everything around it. On the thread of the socket's loop. */
void delivery_take(struct conn *conn, const char *text, size_t len, size_t wire);

/* Checks that every socket has what was acknowledged, and no more. When all threads have ended. */
void deliveries_verify(struct load *load);

#endif
