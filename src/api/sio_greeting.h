#ifndef CARILLON_API_SIO_GREETING_H
#define CARILLON_API_SIO_GREETING_H

#include <stdbool.h>
#include <stdint.h>

struct car_sio_pid;
struct car_sio_socket;

/* Where a socket begins that does not recover: with an array of events, and live behind it. */
struct car_sio_start {
    uint64_t newest; /* what its session is in step with */
    bool since;      /* the client has events already: the array has those that come next, … */
    uint64_t after;  /* … after this one, a seq */
    uint64_t latest; /* else: how many of the latest events it has */
    bool foreign;    /* what it has is another log's: `after` is 0, so there is a gap, and everything */
};

/* Says to a client that a socket of its is connected, and what by. `newest`: see above. */
void car_sio_greet(const struct car_sio_socket *socket, const struct car_sio_pid *pid, uint64_t newest);

/* Reads the array, sends it, and starts the session behind it. The socket has the greeting meanwhile, and the client is
 * held by it (`pending`). Without memory the client is dropped. On its worker. */
void car_sio_start_with_array(struct car_sio_socket *socket, const struct car_sio_start *start);

/* The socket goes, and is not to be greeted any more. */
void car_sio_drop_greeting(struct car_sio_socket *socket);

#endif
