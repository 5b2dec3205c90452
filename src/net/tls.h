#ifndef CARILLON_NET_TLS_H_PRIVATE
#define CARILLON_NET_TLS_H_PRIVATE

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct car_conn;
struct car_intake;
struct car_net_local;
struct car_tls;
struct car_tls_desk;

/*
 * TLS on one connection, between its socket and its protocol: car_conn calls it where it would read and write by
 * itself. libssl sees no socket. It is given the bytes that were read, all of them, so that nothing it could still give
 * stays behind in it; and what it writes goes out with all else that waits, in one send. So it waits for the socket
 * neither here nor there, and a connection whose peer is quiet holds none of its buffers.
 *
 * Belongs to the connection's worker, and moves with it (net/move.h).
 */

/* A worker's place for records and for what is put into them. One of libssl's BIOs lies on it, which all connections of
 * the worker share: they use it one after the other, and leave nothing there. */
struct car_tls_desk *car_tls_desk_new(void);
void car_tls_desk_free(struct car_tls_desk **desk);

/* Begins a handshake on a connection in the clear. false where memory ran out. */
bool car_tls_begin(struct car_conn *conn);

/* Lets a connection that was begun on another worker go on here. */
void car_tls_arrive(struct car_tls *tls, const struct car_net_local *local);

/* Frees it and nulls the pointer; NULL inside is allowed. */
void car_tls_free(struct car_tls **tls);

/*
 * As recv(2) into CAR_READ_SIZE bytes: what the peer has said, or 0 where it says no more. -1 and errno: EAGAIN where
 * that has no more; EINTR where it may have, though nothing has been said yet; EPROTO where the peer does not speak TLS
 * as it should, and what it is to be told of that waits to be written; ENOMEM.
 */
ssize_t car_tls_recv(struct car_conn *conn, char *buf, struct car_intake *intake);

/* The same for records that were read already; 0 where they say nothing, or nothing yet. `out` has CAR_READ_SIZE bytes,
 * and the records are fewer. */
ssize_t car_tls_take(struct car_conn *conn, const char *records, size_t len, char *out);

/* As send(2) for what waits to be written on the connection, records and what is to be put into some. -1 and errno. */
ssize_t car_tls_send(struct car_conn *conn);

/* Bytes of records that the socket has not taken yet. */
size_t car_tls_waiting(const struct car_tls *tls);

/* Counts their memory as the owner's (net.h); NULL: no more. In the clear there is none. */
void car_tls_hold(struct car_conn *conn, const void *owner);

/* What is counted. */
size_t car_tls_held(const struct car_tls *tls);

/* Whether something can be put into records: the handshake is over, and nothing went wrong. */
bool car_tls_is_open(const struct car_tls *tls);

/* Whether a handshake is under way: the peer has begun, though that may not have been read yet, and it is not over. */
bool car_tls_is_shaking(const struct car_conn *conn);

/* Whether the peer has shown a certificate of one whom --tls-client-ca trusts. Known from the handshake's end on. */
bool car_tls_is_certified(const struct car_tls *tls);

/* Tells the peer that nothing more comes (RFC 8446, section 6.1): the last record. */
void car_tls_shut(struct car_conn *conn);

#endif
