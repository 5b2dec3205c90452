#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "bytes.h"
#include "marker.h"
#include "posts.h"

uint32_t load_tenant_strands(const struct load *load, uint32_t tenant) {
    return (load->strand_count - tenant + load->options->tenants - 1) / load->options->tenants;
}

struct strand *load_strand(const struct load *load, uint32_t tenant, uint32_t publisher) {
    uint32_t index = load->options->publishers > load->options->tenants ? publisher : tenant;
    if (index >= load->strand_count) {
        return NULL;
    }
    struct strand *strand = &load->strands[index];
    return strand->tenant == tenant && strand->publisher == publisher ? strand : NULL;
}

bool load_hopeless(const struct load *load) {
    return atomic_load(&load->broken) || atomic_load(&load->faults.count) >= FAULTS_MAX;
}

static struct conn *add_conn(struct load *load, enum role role, uint32_t number, uint32_t tenant) {
    struct conn *conn = &load->conns[load->conn_count++];
    conn->fd = -1;
    conn->load = load;
    conn->role = role;
    conn->number = number;
    conn->tenant = tenant;
    conn->delivers = role == ROLE_READER || role == ROLE_POSTER_WS;
    return conn;
}

static struct conn *add_poster(struct load *load, enum role role, uint32_t number, uint32_t tenant) {
    struct conn *conn = add_conn(load, role, number, tenant);
    conn->posts = memory_zeroed(1, sizeof *conn->posts);
    return conn;
}

/* Over HTTP a publisher has one socket for all its strands, over WebSocket one for each. */
static void add_publishers(struct load *load) {
    const struct options *options = load->options;
    for (uint32_t i = 0; i < load->strand_count; i++) {
        struct strand *strand = &load->strands[i];
        strand->tenant = i % options->tenants;
        strand->publisher = i % options->publishers;
        if (options->publish_ws) {
            strand->conn = add_poster(load, ROLE_POSTER_WS, strand->publisher, strand->tenant);
        } else if (i < options->publishers) {
            strand->conn = add_poster(load, ROLE_POSTER_HTTP, strand->publisher, strand->tenant);
        } else {
            strand->conn = load->strands[strand->publisher].conn;
        }
    }
}

/* What each socket has seen lies in one piece of memory, a number for each strand of the socket's tenant. */
static void add_seen(struct load *load) {
    size_t count = 0;
    for (uint32_t i = 0; i < load->conn_count; i++) {
        count += load_tenant_strands(load, load->conns[i].tenant);
    }
    load->seen = memory_zeroed(count, sizeof *load->seen);
    uint32_t *seen = load->seen;
    for (uint32_t i = 0; i < load->conn_count; i++) {
        struct conn *conn = &load->conns[i];
        conn->seen = seen;
        seen += load_tenant_strands(load, conn->tenant);
        if (conn->delivers && load->options->mode == MODE_RUN) {
            for (uint32_t s = conn->tenant; s < load->strand_count; s += load->options->tenants) {
                load->strands[s].readers++;
            }
        }
    }
}

static void add_conns(struct load *load) {
    const struct options *options = load->options;
    bool run = options->mode == MODE_RUN;
    load->strand_count = !run                                     ? options->tenants
                         : options->tenants > options->publishers ? options->tenants
                                                                  : options->publishers;
    load->strands = memory_zeroed(load->strand_count, sizeof *load->strands);
    load->conns = memory_zeroed((size_t)options->sockets + options->stalled + load->strand_count, sizeof *load->conns);
    for (uint32_t i = 0; i < options->sockets; i++) {
        add_conn(load, ROLE_READER, i, i % options->tenants);
    }
    for (uint32_t i = 0; i < options->stalled; i++) {
        add_conn(load, ROLE_STALLED, i, 0);
    }
    if (run) {
        add_publishers(load);
    }
    add_seen(load);
}

/* A socket is a file; so are the loops' and what the C library opens. */
int load_raise_files(uint32_t sockets) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (sockets + 100 > limit.rlim_cur) {
        fprintf(stderr, "carillon-load: %" PRIu32 " sockets, and only %ju files may be open\n", sockets,
                (uintmax_t)limit.rlim_cur);
        return -1;
    }
    return 0;
}

static int open_loops(struct load *load, uint32_t count) {
    load->loops = memory_zeroed(count, sizeof *load->loops);
    for (; load->loop_count < count; load->loop_count++) {
        if (!loop_open(&load->loops[load->loop_count], &load->phase)) {
            fprintf(stderr, "carillon-load: no event loop: %s\n", strerror(errno));
            return -1;
        }
    }
    return 0;
}

int load_init(struct load *load, const struct options *options) {
    memset(load, 0, sizeof *load);
    load->options = options;
    load->dialect = dialect_find(options->dialect);
    load->processes.count = options->pids.count;
    memcpy(load->processes.pids, options->pids.values, sizeof load->processes.pids);
    faults_init(&load->faults);
    if (!processes_live(&load->processes)) {
        fprintf(stderr, "carillon-load: --pids names a process that is not there\n");
        return -1;
    }
    if (getrandom(&load->nonce, sizeof load->nonce, 0) != sizeof load->nonce) {
        fprintf(stderr, "carillon-load: no random number: %s\n", strerror(errno));
        return -1;
    }
    load->padding_len = options->mode == MODE_RUN ? options->bytes - MARKER_SIZE : 0;
    load->padding = memory_zeroed(1, load->padding_len);
    memset(load->padding, '.', load->padding_len);
    if (options->keys && *options->keys && keys_read(&load->keys, options->keys, options->tenants) != 0) {
        return -1;
    }
    add_conns(load);
    if (load_raise_files(load->conn_count) != 0 ||
        open_loops(load, options->mode == MODE_RUN ? options->threads : 1) != 0) {
        return -1;
    }
    uint32_t flights = options->depth > 0 ? options->depth * options->publishers : options->warmup + options->events;
    flights_init(&load->flights, options->mode == MODE_RUN ? flights : 0, &load->loops[0]);
    return 0;
}

void load_free(struct load *load) {
    for (uint32_t i = 0; i < load->conn_count; i++) {
        struct conn *conn = &load->conns[i];
        conn_free(conn);
        if (conn->posts) {
            posts_free(conn->posts);
            free(conn->posts);
        }
    }
    for (uint32_t i = 0; i < load->loop_count; i++) {
        loop_close(&load->loops[i]);
    }
    flights_free(&load->flights);
    free(load->loops);
    free(load->conns);
    free(load->seen);
    free(load->strands);
    free(load->padding);
    keys_free(&load->keys);
}
