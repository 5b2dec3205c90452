#ifndef CARILLON_PROTO_DEFLATE_MEMORY_H
#define CARILLON_PROTO_DEFLATE_MEMORY_H

#include <stddef.h>
#include <zlib.h>

/* Makes a stream that is not yet initialised allocate through counting functions: *total is kept at the heap bytes it
 * holds, and must outlive it. */
void car_zlib_count_memory(z_stream *stream, size_t *total);

#endif
