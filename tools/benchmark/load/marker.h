#ifndef CARILLON_LOAD_MARKER_H
#define CARILLON_LOAD_MARKER_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of a marker: the smallest message. */
#define MARKER_SIZE 64

/* What a message says of itself, so that its receiver can check it without looking anything up. */
struct marker {
    uint32_t nonce;     /* of the run */
    uint32_t tenant;    /* its number */
    uint32_t publisher; /* its number */
    uint32_t counter;   /* 1, 2, 3... for each publisher and tenant */
    uint32_t flight;    /* where it is counted among the events in flight */
    uint64_t due;       /* when it was to be sent, by clock_now */
};

/* Writes MARKER_SIZE characters, which no encoding needs to escape. */
void marker_write(char *at, const struct marker *marker);

/* Reads MARKER_SIZE characters. Returns false where they are no marker. */
bool marker_read(const char *at, struct marker *marker);

#endif
