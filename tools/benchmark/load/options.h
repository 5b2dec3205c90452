#ifndef CARILLON_LOAD_OPTIONS_H
#define CARILLON_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "target.h"

struct json;

#define OPTION_LIST_MAX 16

enum mode { MODE_RUN = 1, MODE_IDLE = 2, MODE_FLOOR = 4, MODE_PRESS = 8 };

struct option_list {
    unsigned count;
    uint32_t values[OPTION_LIST_MAX];
};

/* What the command line says; immutable afterwards. */
struct options {
    enum mode mode;
    const char *target_text, *dialect, *subscribe, *publish, *deflate, *ahead_text, *tls_text;
    const char *what; /* of a press: flood, stalled, handshakes or batches */
    const char *keys; /* a file, "" where there is none */
    uint32_t tenants, sockets, publishers, depth, events, warmup, bytes, threads, sources, stalled, inflight, rounds;
    double rate, hold, timeout; /* a second, seconds, seconds */
    struct option_list pids, batch;

    /* derived */
    struct target target;
    bool sse, publish_ws;
    bool tls;   /* the server speaks TLS */
    bool ahead; /* our threads are to run ahead of all others: in an open loop always */
};

/* Returns 0, or -1 when it has said on stderr what is wrong. */
int options_parse(struct options *options, int argc, char **argv);

/* Every option that the mode has, as the member "config". */
void options_json(const struct options *options, struct json *json);

#endif
