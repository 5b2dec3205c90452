#ifndef CARILLON_LOAD_LOOP_H
#define CARILLON_LOAD_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "stall.h"

struct conn;

/* What one recv() asks for, and how much of a unit that is not whole yet may stand before that. */
#define LOOP_READ (64 * 1024)
#define LOOP_REST (1024 * 1024)

/* What is measured apart. */
enum phase { PHASE_WARMUP, PHASE_MEASURED, PHASE_AFTER, PHASES };

/* What one loop counted in one phase. */
struct tally {
    uint64_t deliveries;
    uint64_t recvs;                /* that brought data to a socket that is delivered to */
    uint64_t bytes;                /* of delivered events, with their frames */
    uint64_t last;                 /* when the last delivery or acknowledgement came */
    struct histogram deliver, ack; /* nanoseconds since the event was due */
};

/*
 * One thread's epoll set and its sockets. Owner: the thread that turns it; before that thread begins and after it has
 * ended, the main thread. Others may only ring it.
 */
struct loop {
    int epoll;
    int bell;            /* eventfd */
    char *buffer;        /* LOOP_REST + LOOP_READ bytes, shared by its sockets */
    atomic_uint *phase;  /* the run's */
    struct tally *tally; /* of the phase at the last recv() */
    uint64_t now;        /* time of the last recv() */
    uint64_t due;        /* when on_due wants to be called, also between two sockets; UINT64_MAX: not at all */
    void (*on_due)(void *user);
    void *user;
    pthread_t thread;
    struct stall stall;
    struct tally tallies[PHASES];
};

/* Returns false with errno. */
bool loop_open(struct loop *loop, atomic_uint *phase);
void loop_close(struct loop *loop);

/* Waits for input, but not longer than until `until`, and deals with what there is. */
void loop_turn(struct loop *loop, uint64_t until);

/* Puts the socket under the loop's care. Returns false with errno. */
bool loop_watch(struct loop *loop, struct conn *conn);
void loop_forget(struct loop *loop, struct conn *conn);

/* Ends the turn of another thread's loop. Any thread. */
void loop_ring(struct loop *loop);

#endif
