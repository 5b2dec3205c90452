#ifndef CARILLON_API_FILTER_H
#define CARILLON_API_FILTER_H

#include "carillon/base/span.h"
#include "carillon/feed/filter.h"

/* Reads `type` (repeatable), `q`, `from` and `to`. 0, or CAR_EINVAL and *why; car_filter_free in either case. */
int car_filter_read(struct car_span query, struct car_filter *filter, const char **why);

#endif
