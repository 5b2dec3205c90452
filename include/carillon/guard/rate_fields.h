#ifndef CARILLON_GUARD_RATE_FIELDS_H
#define CARILLON_GUARD_RATE_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/guard/gcra.h"

/*
 * What clients are told of their limits, as lines of an answer's head, each with its CRLF:
 * draft-ietf-httpapi-ratelimit- headers-11, structured fields (RFC 9651), and RFC 9110 section 10.2.3. Appended to a
 * buffer; any thread.
 *
 * Seconds are rounded up, so that who waits them out has waited long enough; a microsecond too much is no reason for
 * another second, as an answer and the next request are longer on their way.
 */

/* A limit that a request is held to. */
struct car_rate_field {
    const char *name; /* of the policy: "tenant", "ip", "user"; printable ASCII without quotes and backslashes */
    struct car_rate_limit limit;
    struct car_rate_state state;
    const char *unit; /* `qu`, what is counted where that is not requests: a name of the draft's registry; or NULL */
};

/* `RateLimit-Policy: "tenant";q=10;w=5, "ip";q=100;w=60`, and `RateLimit: "tenant";r=3;t=2, "ip";r=99;t=1`. A unit
 * goes with the policy, as `qu="content-bytes"`. Limits that are none (count 0) are left out; nothing is written where
 * none is left. `w`, whole seconds, is at least 1. `t` is what the draft calls the effective window (section 4.1.2):
 * the seconds in which no more than `r` can be taken, which is `next`. So it never reaches beyond the Retry-After of
 * the same limit, as section 6 asks for. */
void car_rate_fields_write(struct car_buf *out, const struct car_rate_field *fields, size_t count);

/* `Retry-After: 2`, at least 1, for the `retry` of what was refused. Nothing for CAR_RATE_NEVER: to wait would not
 * help. */
void car_retry_after_write(struct car_buf *out, uint64_t retry_ns);

#endif
