#ifndef CARILLON_LOAD_POSTER_H
#define CARILLON_LOAD_POSTER_H

#include <stddef.h>
#include <stdint.h>

struct conn;

/* What comes back on a publisher's HTTP connection. */
size_t poster_input(struct conn *conn, char *data, size_t *len);

/* The socket's publish with that number was acknowledged, with the event that is given; NULL where none is. */
void poster_acked(struct conn *conn, uint64_t number, const char *event, size_t len);

#endif
