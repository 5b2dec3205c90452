#ifndef CARILLON_LOAD_CONNECTING_H
#define CARILLON_LOAD_CONNECTING_H

#include <stdbool.h>
#include <stdint.h>

struct json;
struct load;

/* How long it took to connect all sockets: from the first connect() until the last one was established. */
struct connecting {
    uint32_t count;
    uint64_t ns, server_cpu_ns;
};

/* Connects all sockets, `inflight` handshakes at a time, on the main loop. Returns 0, or -1 when it has said on stderr
 * what went wrong. */
int connect_all(struct load *load, struct connecting *connecting);

/* As the member "connects". */
void connecting_json(const struct connecting *connecting, const struct load *load, struct json *json);

/* Turns the main loop for some time, without anything to do but to answer. */
void linger(struct load *load, double seconds);

#endif
