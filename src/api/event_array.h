#ifndef CARILLON_API_EVENT_ARRAY_H
#define CARILLON_API_EVENT_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"

struct car_reader;
struct car_tenant;

/* No array holds more bytes of events than about this, whatever their number. */
#define CAR_EVENT_ARRAY_BYTES (8u << 20)

/* What an array came to hold: the events from `first` to just before `next`, which are all there were from where it was
 * to begin, unless `first` is later: then those before it have been forgotten. */
struct car_event_range {
    uint64_t first, next;
};

/* Appends the events from `first` to `last` as a JSON array, at most `limit`, oldest first. Where `next` of what it
 * returns is not beyond `last`, some were left out at the end. */
struct car_event_range car_event_array(struct car_buf *out, struct car_tenant *tenant, struct car_reader *reader,
                                       uint64_t first, uint64_t last, uint64_t limit);

/* The same, but where they are too many bytes the oldest are left out. */
void car_event_array_latest(struct car_buf *out, struct car_tenant *tenant, struct car_reader *reader, uint64_t first,
                            uint64_t last);

#endif
