#ifndef CARILLON_TEST_SUPPORT_HTTP_TRACE_H
#define CARILLON_TEST_SUPPORT_HTTP_TRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "carillon/proto/http.h"

/*
 * Runs the parser over an input and writes down what came of it, a line each:
 *
 *   GET /path?query @host 1.1 keep expect upgrade Name=value {body}    a request (Host is left out of the headers)
 *   + 57                                                               stopped behind it, at that offset
 *   ! 400 reason                                                       the refusal
 *   ~ idle | headers | body                                            the stage at the end, where nothing was refused
 */
struct http_trace_run {
    const struct car_http_limits *limits; /* NULL for the defaults */
    bool stop;                            /* on_request says false each time; what is left is fed on */
    int refuse;                           /* what on_headers returns */
};

/* Says where the piece that begins at `at` ends: above `at`, at most `len`. */
typedef size_t http_trace_cut(void *state, size_t at, size_t len);

/* Appends the trace to `out`. Each piece is a block of its own, freed as soon as it is consumed, so that a sanitizer
 * sees any use of what was borrowed. */
void http_trace(const struct http_trace_run *run, struct car_span input, http_trace_cut *cut, void *state,
                struct car_buf *out);

/* In one piece; byte by byte; in two, at the offset that `state` (a size_t) holds; in pieces of a pseudo-random length,
 * mostly short, from the uint64_t that `state` holds. */
http_trace_cut http_trace_whole, http_trace_bytes, http_trace_at, http_trace_random;

#endif
