#ifndef CARILLON_API_FILTER_H
#define CARILLON_API_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

struct car_event;

/* Which events a list is narrowed to. Zero-initialised lets everything pass. */
struct car_filter {
    struct car_buf types;   /* those wanted, NUL-separated; empty for all */
    struct car_buf words;   /* those that message or metadata must hold, in any case, NUL-separated */
    struct car_buf scratch; /* for decoding what is searched */
    int64_t from_ms, to_ms; /* both inclusive */
    bool has_from, has_to;
};

/* Reads `type` (repeatable), `q`, `from` and `to`. 0, or CAR_EINVAL and *why; car_filter_free in either case. */
int car_filter_read(struct car_span query, struct car_filter *filter, const char **why);

void car_filter_free(struct car_filter *filter);

bool car_filter_passes(struct car_filter *filter, const struct car_event *event);

#endif
