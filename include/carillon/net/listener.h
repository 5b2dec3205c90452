#ifndef CARILLON_NET_LISTENER_H
#define CARILLON_NET_LISTENER_H

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
    uint32_t max_connections;
    struct car_worker **workers;
    unsigned worker_count;
};

/* Binds and listens. 0, or a negative UV_E… code (UV_EAI… for a host that has no address). */
int car_listener_open(struct car_listener **out, uv_loop_t *loop, const struct car_listener_config *config);

/* The port it listens on. */
uint16_t car_listener_port(const struct car_listener *listener);

/* Stops accepting; memory goes in the close callback. Nulls the pointer; NULL inside is allowed. On the loop's thread.
 */
void car_listener_close(struct car_listener **listener);

#endif
