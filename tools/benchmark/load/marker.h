#ifndef CARILLON_LOAD_MARKER_H
#define CARILLON_LOAD_MARKER_H

#include <stddef.h>
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

/* Finds the first marker of the text. Returns what follows it, or NULL where there is none. */
const char *marker_find(const char *text, size_t len, struct marker *marker);

#endif
