#ifndef CARILLON_TEST_SUPPORT_HTTP_CASE_H
#define CARILLON_TEST_SUPPORT_HTTP_CASE_H

#include <stddef.h>

#include "http_trace.h"

/* One row: an input and the trace it has to give. A trace that ends in "! 400", without a line's end, leaves the
 * reason open. */
struct http_case {
    const char *name;
    struct car_span input;
    const char *trace;
};

/* Spans in static tables want constants, so no CAR_SPAN. */
#define HTTP_CASE(name, input, trace)                                                                                  \
    { name, {input, sizeof(input) - 1}, trace }

/* Runs one case whole, byte by byte, cut in two at every offset and in random pieces. Fails the running test where one
 * of the traces differs, and prints both. */
void http_case_check(const struct http_trace_run *run, const struct http_case *c);
void http_cases_check(const struct http_trace_run *run, const struct http_case *cases, size_t count);

#endif
