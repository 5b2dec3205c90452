#ifndef CARILLON_LOAD_CONN_H
#define CARILLON_LOAD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "sse.h"

struct conn;
struct load;
struct loop;
struct posts;

enum role { ROLE_READER, ROLE_STALLED, ROLE_POSTER_WS, ROLE_POSTER_HTTP, ROLE_SINK };

/*
 * Deals with what came: returns how many bytes of it are done with; the others come again, with what follows them.
 * May shorten *len where it took something out of the middle. The data is the loop's buffer and may be written to.
 */
typedef size_t conn_input(struct conn *conn, char *data, size_t *len);

/* The last gap in a socket's numbers: what is missing may still come, late. */
struct gap {
    uint32_t strand, first, end;
};

/* One socket. Owner: its loop's thread. */
struct conn {
    int fd;        /* -1 where closed */
    bool delivers; /* the server sends events to it, and we read them */
    bool live;     /* the handshake is over */
    bool queued;   /* stands in the list of those that have something to send */
    enum role role;
    uint32_t number, tenant;
    conn_input *input; /* NULL: nothing is read */
    struct loop *loop;
    struct load *load;   /* NULL in a sink */
    uint64_t seq;        /* of the last event, as the server numbers them; 0: none came yet */
    uint32_t *seen;      /* the number of the last event, by the tenant's strands */
    struct posts *posts; /* what it has published that is not acknowledged; NULL where it only reads */
    struct bytes rest;   /* input that is no whole unit yet */
    struct bytes out;    /* what is to be sent */
    struct sse sse;
    struct gap gap;
    struct ssl_st *tls;                    /* NULL in the clear (secure.h) */
    void (*on_connect)(struct conn *conn); /* once, when TCP is connected; NULL: nobody asks */
};

/* Sends what there is, as far as the socket takes it, in one call. */
void conn_flush(struct conn *conn);

/* The socket takes bytes (again). */
void conn_writable(struct conn *conn);

/* A check on this socket failed. */
__attribute__((format(printf, 2, 3))) void conn_fault(struct conn *conn, const char *format, ...);

/* The same, and nothing more can be expected of it: closes it and ends the run. */
__attribute__((format(printf, 2, 3))) void conn_break(struct conn *conn, const char *format, ...);

/* Closes it, and frees what it holds. */
void conn_free(struct conn *conn);

#endif
