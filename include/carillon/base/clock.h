#ifndef CARILLON_BASE_CLOCK_H
#define CARILLON_BASE_CLOCK_H

#include <stdint.h>

#include "carillon/base/span.h"

#define CAR_RFC3339_LEN 24 /* "2026-11-20T20:36:00.123Z" */

/* Milliseconds since 1970, UTC. Any thread. */
int64_t car_clock_wall_ms(void);

/* Microseconds and nanoseconds of a clock that never goes back (CLOCK_MONOTONIC). Any thread. */
uint64_t car_clock_mono_us(void);
uint64_t car_clock_mono_ns(void);

/* Writes exactly CAR_RFC3339_LEN characters (RFC 3339, UTC, milliseconds), no NUL. Years 1970 to 9999. */
void car_rfc3339_write(int64_t wall_ms, char *out);

/* Reads an RFC 3339 date-time with any offset and any number of fraction digits. CAR_EINVAL otherwise. */
int car_rfc3339_read(struct car_span text, int64_t *wall_ms);

#endif
