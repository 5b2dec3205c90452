#ifndef CARILLON_LOAD_SECURE_H
#define CARILLON_LOAD_SECURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct conn;

/* TLS on a socket of the load's, as a client that believes any certificate: it is its own server's that it measures. */

/* The connection's socket speaks it from here on; the handshake goes on as that is written and read. false where memory
 * ran out. */
bool secure_begin(struct conn *conn);

/* As send(2) and recv(2): -1 and EAGAIN where the socket has to be waited for. */
ssize_t secure_send(struct conn *conn, const void *bytes, size_t len);
ssize_t secure_recv(struct conn *conn, void *buffer, size_t len);

void secure_free(struct conn *conn);

#endif
