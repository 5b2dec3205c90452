#ifndef CARILLON_API_QUERY_H
#define CARILLON_API_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

struct car_call;

/* Reading query parameters. Each function returns 0, CAR_ENOENT where the parameter is absent, or CAR_EINVAL where it
 * is malformed, out of range, or given twice; then *why says so, for the answer 400. */

/* The decoded text, appended to `out`. */
int car_query_text(struct car_span query, const char *name, struct car_buf *out, const char **why);

/* A whole number from `min` to `max`. */
int car_query_u64(struct car_span query, const char *name, uint64_t min, uint64_t max, uint64_t *out, const char **why);

/* An RFC 3339 time, in milliseconds since 1970. */
int car_query_time(struct car_span query, const char *name, int64_t *out, const char **why);

/* `epoch`: whether it is there and not this log's, which is the tenant's. */
int car_query_epoch(struct car_call *call, bool *foreign, const char **why);

/* `since` (a seq) or `sinceId` (an event's id, of the caller's tenant): the seq behind which to begin. */
int car_query_since(struct car_call *call, uint64_t *out, const char **why);

#endif
