#ifndef CARILLON_TEST_SUPPORT_FEED_WIRE_H
#define CARILLON_TEST_SUPPORT_FEED_WIRE_H

#include <stdbool.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"
#include "carillon/feed/wire.h"

/* Reading a wire back, with nothing of what is tested. */

/* What stands before an event in the named namespace. */
#define FEED_SIO_NAMED "42/events,[\"event_created\","

/* The next event of a wire: its JSON into `json`, inflated where that is needed. false at the end; *bad says whether
 * that was no event. */
bool feed_wire_next(enum car_wire wire, struct car_span *rest, struct car_buf *json, bool *bad);

/* Takes a literal off the front. false where it does not stand there. */
bool feed_take_lit(struct car_span *rest, const char *lit);

#endif
