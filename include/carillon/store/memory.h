#ifndef CARILLON_STORE_MEMORY_H
#define CARILLON_STORE_MEMORY_H

struct car_feed;
struct car_log;

/* The log that is nothing but the tenants' histories: the thread whose publisher finds nobody draining does so
 * at once, for everybody who enqueued meanwhile. Gives the feed its epoch, a new one each time. NULL without memory. */
struct car_log *car_log_memory(struct car_feed *feed);

#endif
