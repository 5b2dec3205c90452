#ifndef CARILLON_FEED_FEED_H
#define CARILLON_FEED_FEED_H

#include <stdint.h>

#define CAR_EPOCH_LEN 16

struct car_deflater;
struct car_log;
struct car_reclaim;
struct car_registry;
struct car_worker;

/* What all tenants share. Filled by the thread that starts the process, before the workers run; never changed while
 * they do. */
struct car_feed {
    struct car_registry *registry;
    struct car_log *log;
    struct car_worker **workers;
    unsigned worker_count;
    uint32_t keep;                 /* events kept in memory for each tenant, at least */
    char epoch[CAR_EPOCH_LEN + 1]; /* names the log: another one where the store was made anew */
};

/* What the lanes of one worker share; the worker's thread only. */
struct car_feed_local {
    struct car_feed *feed;
    struct car_deflater *deflater;
    uint64_t delivered; /* events handed to sessions */
};

/* Ties the feed to a worker that does not run yet. 0 or CAR_ENOMEM. */
int car_feed_attach(struct car_feed *feed, struct car_worker *worker);

/* The worker's thread has ended. */
void car_feed_detach(struct car_worker *worker);

static inline struct car_feed_local *car_feed_local(void *worker_feed) {
    return worker_feed;
}

#endif
