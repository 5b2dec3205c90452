#ifndef CARILLON_FEED_FANOUT_H
#define CARILLON_FEED_FANOUT_H

#include <stddef.h>

struct car_event;
struct car_lane;

/* Offers the events, which follow the lane's position without a hole, to every live session, and moves the position on.
 * Each wire form is encoded at most once. On the lane's worker. */
void car_fanout(struct car_lane *lane, struct car_event *const *events, size_t count);

#endif
