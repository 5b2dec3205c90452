#ifndef CARILLON_LOAD_CLIENT_H
#define CARILLON_LOAD_CLIENT_H

#include <stdbool.h>

struct conn;

/* Begins to connect the socket: a WebSocket or event stream of its tenant, or an HTTP connection for a publisher.
 * Counts in load->established when that is done. Returns false with errno. */
bool client_open(struct conn *conn, unsigned index);

#endif
