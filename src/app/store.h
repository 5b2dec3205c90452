#ifndef CARILLON_APP_STORE_H
#define CARILLON_APP_STORE_H

#include <stddef.h>

struct car_config;
struct car_feed;
struct car_reader;
struct car_reclaim;

/* Opens the log that --store names, and makes it the feed's. `lock` is one on the database that was handed over; 0:
 * there is none. 0, or an error, and `why` has a line. Main thread. */
int car_store_open(const struct car_config *config, struct car_feed *feed, struct car_reclaim *reclaim,
                   struct car_reader *reader, int lock, char *why, size_t size);

#endif
