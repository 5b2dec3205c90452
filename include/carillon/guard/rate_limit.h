#ifndef CARILLON_GUARD_RATE_LIMIT_H
#define CARILLON_GUARD_RATE_LIMIT_H

#include <stdint.h>

#define CAR_RATE_COUNT_MAX     UINT64_C(1000000000)
#define CAR_RATE_WINDOW_MS_MAX UINT64_C(86400000) /* a day */

/* So much at once, refilled evenly over the window. What is counted (events, requests, bytes) is the user's business.
 */
struct car_rate_limit {
    uint64_t count;     /* 1 to CAR_RATE_COUNT_MAX; 0: no limit */
    uint64_t window_ms; /* 1 to CAR_RATE_WINDOW_MS_MAX */
};

/* Reads "N/WINDOW": "10/5s", "100/15m", "1000/500ms"; a bare number is seconds. 0; CAR_EINVAL where it is no limit,
 * CAR_ETOOBIG where a number is out of range, and then *out is no limit. Any thread. */
int car_rate_limit_read(const char *text, struct car_rate_limit *out);

#endif
