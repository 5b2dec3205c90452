#ifndef CARILLON_NET_STREAM_H
#define CARILLON_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct car_conn;

/* A connection's socket, which is read and written in the clear or through TLS (tls.h). On the connection's worker. */

/* What is written in one call, and in one turn: a little more than a round of fan-out (src/feed/lane.c). */
#define CAR_STREAM_PIECE (144u << 10)

/* One read. */
struct car_intake {
    size_t size;  /* how much it may take off the socket: CAR_READ_SIZE at most */
    size_t bytes; /* how much it has taken */
    bool more;    /* the socket may have more to give */
    bool shakes;  /* it went on with a handshake */
};

/* As recv(2) into CAR_READ_SIZE bytes; with TLS, see car_tls_recv. What is said of the read is zero but for `size`. */
ssize_t car_stream_recv(struct car_conn *conn, char *buf, struct car_intake *intake);

/* As send(2) for what waits to be written, up to a piece. -1 and errno. */
ssize_t car_stream_send(struct car_conn *conn);

/* Whether there is something that could be sent. */
bool car_stream_waits(const struct car_conn *conn);

#endif
