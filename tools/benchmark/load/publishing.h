#ifndef CARILLON_LOAD_PUBLISHING_H
#define CARILLON_LOAD_PUBLISHING_H

#include <stdbool.h>
#include <stdint.h>

#include "form.h"
#include "histogram.h"

struct conn;
struct load;

/*
 * All publishers, on the main loop's thread. In a closed loop each keeps `depth` events in flight; in an open one
 * events are due at fixed intervals, whatever has become of the earlier ones.
 */
struct publishing {
    struct load *load;
    struct form form;
    char *message;       /* the padding stands, the marker changes */
    uint32_t *cursors;   /* the strand that each publisher is at, in a closed loop */
    struct conn **queue; /* sockets with something to send */
    uint32_t queued;

    /* the phase's */
    uint32_t wanted, issued, over;
    uint64_t start;        /* an open loop's first event is due then */
    uint32_t base;         /* an open loop's events before this phase */
    struct histogram late; /* sent after due, in an open loop */
};

void publishing_init(struct publishing *publishing, struct load *load);
void publishing_free(struct publishing *publishing);

/* Begins a phase of `count` events, when all earlier ones are over. */
void publishing_begin(struct publishing *publishing, uint32_t count);

/* Takes the events that are over, and publishes what there is room for, or due; one send() a socket. */
void publishing_turn(struct publishing *publishing);
bool publishing_done(const struct publishing *publishing);

#endif
