#ifndef CARILLON_PROTO_SSE_H
#define CARILLON_PROTO_SSE_H

#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * Writers of text/event-stream (WHATWG HTML, section 9.2). Each appends something that ends with an empty line, so any
 * sequence of them is a valid stream. Texts are valid UTF-8. Memory errors stick to the buffer.
 */

/*
 * Appends an event. An absent span ({NULL, 0}) leaves its field out; an empty one writes an empty value, which for `id`
 * makes the client forget its last event ID and for `event` means "message". `data` becomes one line for each of its
 * lines, split at LF, CR or CRLF, which the client joins with LF; without `data` the client takes over the id and
 * dispatches nothing.
 *
 * CAR_EINVAL, with nothing appended, where `id` or `event` holds a CR or LF, which would forge a line, or `id` a NUL,
 * which makes clients ignore it. CAR_ENOMEM.
 */
int car_sse_event(struct car_buf *out, struct car_span id, struct car_span event, struct car_span data);

/* Appends a comment, which clients skip: a line for each of its lines. For keeping the connection alive. */
void car_sse_comment(struct car_buf *out, struct car_span text);

/* Appends the time a client shall wait before it reconnects, in milliseconds. */
void car_sse_retry(struct car_buf *out, uint64_t milliseconds);

#endif
