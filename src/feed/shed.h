#ifndef CARILLON_FEED_SHED_H
#define CARILLON_FEED_SHED_H

#include <stdbool.h>

struct car_lane;

/* Where the tenant has more memory in use than its budget allows: sends away the most behind of the lane's sessions, of
 * those for which something waits, a few at a time. true where that may have to go on. On the lane's worker. */
bool car_shed(struct car_lane *lane);

#endif
