#ifndef CARILLON_SRC_PROTO_HTTP_GUARD_H
#define CARILLON_SRC_PROTO_HTTP_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/proto/http.h"

#define HTTP_METHOD_MAX      32
#define HTTP_BLANK_LINES_MAX 4

/*
 * Reads a request line and header section, or a trailer section, and lets only the exact grammar of RFC 9112 pass, in
 * any cut of the input. It finds where the section ends; what is in it is read afterwards, when it is
 * whole. It stands before llhttp, which lets bare CR, folded lines and unknown control characters through.
 */
struct http_guard {
    uint8_t state;
    uint8_t blank_lines; /* CRLF pairs passed over before the request line */
    uint8_t major, minor;
    size_t method_len;
    size_t lines; /* field lines */
    size_t bytes; /* of the section, from the method's first on */
};

/* The start of a request, and of a trailer section. */
void car_http_guard_request(struct http_guard *g);
void car_http_guard_trailers(struct http_guard *g);

#define HTTP_GUARD_MORE  0 /* all taken, not whole yet */
#define HTTP_GUARD_WHOLE 1 /* *taken goes to the end of the section, after its empty line */

/* Reads on. HTTP_GUARD_…, or the status of a refusal with a static reason. *skipped is how many of the bytes taken
 * were blank lines before the request line, no part of the section. */
int car_http_guard_scan(struct http_guard *g, const struct car_http_limits *limits, struct car_span in, size_t *skipped,
                        size_t *taken, const char **why);

#endif
