#ifndef CARILLON_NET_BOUNDARY_H
#define CARILLON_NET_BOUNDARY_H

#include <stdbool.h>

#include "carillon/base/span.h"

struct car_blob;
struct car_conn;
struct car_worker;

/* The write boundary, which all that goes out over a connection passes last: what went wrong before ends here. On the
 * connection's worker. */

/* Its rule: bytes of one owner never go to what is another's. Those of nobody, NULL, go anywhere. */
static inline bool car_net_may_write(const void *bytes_of, const void *conn_of) {
#ifdef CARILLON_MUTATION_BOUNDARY /* test/CMakeLists.txt: the tests of isolation have to notice */
    (void)bytes_of;
    (void)conn_of;
    return true;
#else
    return !bytes_of || bytes_of == conn_of;
#endif
}

/* Counts and logs that bytes of one owner were about to go to another's connection. */
void car_net_refuse_write(struct car_worker *worker);

/*
 * The last functions before the socket. What they take is written at the end of the turn. Bytes of an owner other than
 * the connection's are refused: the connection is closed at once and the fault counted. false where nothing will be
 * written. They never block, and never fail for slowness: whoever writes much asks car_conn_is_full first.
 *
 * car_conn_write takes a reference to a blob, whose tag says whose it is: for what goes to several sockets.
 * car_conn_write_copy copies bytes of `owner`, NULL for nobody's in particular: for what goes to one.
 */
bool car_conn_write(struct car_conn *conn, struct car_blob *blob);
bool car_conn_write_copy(struct car_conn *conn, const void *owner, struct car_span bytes);

#endif
