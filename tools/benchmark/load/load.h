#ifndef CARILLON_LOAD_LOAD_H
#define CARILLON_LOAD_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "dialect.h"
#include "faults.h"
#include "flights.h"
#include "keys.h"
#include "loop.h"
#include "options.h"
#include "process.h"

/*
 * The events of one publisher in one tenant, numbered 1, 2, 3... Strand s is publisher s % P's in tenant s % N, and
 * there are as many as the larger of the two: each publisher has its share of the tenants, or each tenant of the
 * publishers.
 */
struct strand {
    uint32_t tenant, publisher;
    uint32_t sent, acked;
    uint32_t readers;  /* sockets that get each of its events */
    struct conn *conn; /* that it is published on */
};

/* The whole of one command. Owner: the main thread; the others read it, and add to what is atomic, and to `faults`. */
struct load {
    const struct options *options;
    const struct dialect *dialect;
    uint32_t nonce; /* of this run's markers */
    char *padding;  /* what follows the marker in each message */
    size_t padding_len;
    struct processes processes;
    struct keys keys;

    struct loop *loops;
    uint32_t loop_count;
    struct conn *conns;
    uint32_t conn_count;
    uint32_t established;
    uint32_t *seen; /* of all sockets */
    struct strand *strands;
    uint32_t strand_count;
    struct flights flights;

    atomic_uint phase;
    atomic_bool broken, stop;
    struct faults faults;
};

/* Makes the sockets (without connecting them), strands and loops that the options ask for. Returns 0, or -1 when it has
 * said on stderr what is wrong. */
int load_init(struct load *load, const struct options *options);
void load_free(struct load *load);

/* Lets as many files be open as may be. Returns -1 when it has said on stderr that so many sockets are too many. */
int load_raise_files(uint32_t sockets);

/* The strand of a publisher's events in a tenant; NULL where it publishes nothing there. */
struct strand *load_strand(const struct load *load, uint32_t tenant, uint32_t publisher);

/* The strands of a tenant: first is the tenant's number, each next one `tenants` further. */
uint32_t load_tenant_strands(const struct load *load, uint32_t tenant);

/* Whether nothing good can come any more: a connection broke, or there is fault enough. */
bool load_hopeless(const struct load *load);

#endif
