#ifndef CARILLON_LOAD_SSE_H
#define CARILLON_LOAD_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"

/* A stream of Server-Sent Events, chunked or not. Starts as zeros, but for `chunked`. */
struct sse {
    bool chunked;
    unsigned stage;  /* of the chunk */
    uint64_t left;   /* of the chunk */
    size_t decoded;  /* bytes of the rest: the chunks are out of it */
    size_t overhead; /* bytes that the chunks cost since the last event */
};

struct sse_event {
    const char *name; /* "message" where the stream gives none */
    size_t name_len;
    const char *id; /* NULL where the event has none */
    size_t id_len;
    const char *data; /* the first line of data up to the end of the last; NULL where the event has none */
    size_t len;
    size_t size; /* with its empty line, without chunks */
};

/* Takes the chunks' sizes and ends out of what came since the last call; *len shrinks. */
enum reading sse_decode(struct sse *sse, char *data, size_t *len);

/* Reads one event, or a comment's block. Never broken: all bytes are good for something. */
enum reading sse_event_read(const char *data, size_t len, struct sse_event *event);

#endif
