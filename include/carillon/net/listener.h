#ifndef CARILLON_NET_LISTENER_H
#define CARILLON_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct car_listener;
struct car_worker;

/*
 * Accepts connections on its own thread's loop and deals each to the worker that has the fewest. Over the limit a
 * connection is still dealt, to be answered 503; far over it, it is closed. Out of descriptors it pauses and tries
 * again.
 */
struct car_listener_config {
    const char *host; /* a name or an address */
    uint16_t port;    /* 0: any free one */
    int inherited;    /* a socket that listens already, in place of these two; taken over. 0: there is none */
    uint32_t max_connections;
    struct car_worker **workers;
    unsigned worker_count;
};

/* Binds and listens. 0, or a negative UV_E… code (UV_EAI… for a host that has no address). */
int car_listener_open(struct car_listener **out, uv_loop_t *loop, const struct car_listener_config *config);

/* Accepts nothing from here on: who connects waits in the socket's queue; and goes on. On the loop's thread. */
void car_listener_hold(struct car_listener *listener);
void car_listener_go_on(struct car_listener *listener);

/* Accepts those who wait in the queue, before the socket is closed, which would reset their connections. On the loop's
 * thread. */
void car_listener_take_all(struct car_listener *listener);

/* The socket, borrowed. */
int car_listener_fd(const struct car_listener *listener);

/* The port it listens on. */
uint16_t car_listener_port(const struct car_listener *listener);

/* From now on every new connection is answered as one over the limit, or again only those that are. On the loop's
 * thread. */
void car_listener_refuse(struct car_listener *listener, bool all);

/* Stops accepting; memory goes in the close callback. Nulls the pointer; NULL inside is allowed. On the loop's thread.
 */
void car_listener_close(struct car_listener **listener);

#endif
