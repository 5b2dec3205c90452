#ifndef CARILLON_LOAD_DELIVERY_H
#define CARILLON_LOAD_DELIVERY_H

struct conn;
struct load;
struct unit;

/* Checks an event that came to the socket: of this run, of the socket's tenant, the next one of it and of its
 * publisher, and just as it was sent; then counts it. On the thread of the socket's loop. */
void delivery_take(struct conn *conn, const struct unit *unit);

/* Checks that every socket has what was acknowledged, and no more. When all threads have ended. */
void deliveries_verify(struct load *load);

#endif
