#ifndef CARILLON_SRC_PROTO_HTTP_CHUNK_H
#define CARILLON_SRC_PROTO_HTTP_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/proto/http.h"
#include "http_guard.h"

#define HTTP_CHUNK_DIGITS_MAX 16
#define HTTP_CHUNK_EXT_MAX    4096

/* Takes the chunked coding off a body (RFC 9112, section 7.1), in any cut of the input. Zero-initialised is the start.
 */
struct http_chunk {
    uint8_t state;
    uint8_t digits;
    size_t extensions; /* bytes of chunk extensions so far, over all chunks */
    uint64_t left;     /* of the chunk being read */
    uint64_t total;    /* of the body, up to the end of that chunk */
    struct http_guard trailers;
};

#define HTTP_CHUNK_MORE  0 /* all taken, the body is not whole yet */
#define HTTP_CHUNK_WHOLE 1 /* *taken goes to the end of the trailer section */
#define HTTP_CHUNK_DATA  2 /* *data is a piece of the content, it ends at *taken: call again with the rest */

/* Reads on. HTTP_CHUNK_…, or the status of a refusal with a static reason. */
int car_http_chunk_scan(struct http_chunk *c, const struct car_http_limits *limits, struct car_span in,
                        struct car_span *data, size_t *taken, const char **why);

#endif
