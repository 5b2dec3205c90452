#ifndef CARILLON_PROTO_TRACEPARENT_H
#define CARILLON_PROTO_TRACEPARENT_H

#include <stdbool.h>

#include "carillon/base/span.h"

/* Where in a trace something was said (W3C Trace Context, Level 2, section 3.2):
 * "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" is a version, a trace, the span in it that speaks, and
 * flags. */
#define CAR_TRACEPARENT_LEN 55

/* Whether the text is one of version 00, to the letter. */
bool car_traceparent_ok(struct car_span text);

/*
 * Reads one of whatever version into `out`, as version 00. One of that version stays as it is. Of a later one there is
 * taken what this one knows, as the standard asks for: the ids, and those of the flags that have a meaning. false where
 * the text is none.
 */
bool car_traceparent_read(struct car_span text, char out[CAR_TRACEPARENT_LEN]);

#endif
