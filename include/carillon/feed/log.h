#ifndef CARILLON_FEED_LOG_H
#define CARILLON_FEED_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

struct car_feed;
struct car_log;
struct car_tenant;
struct car_worker;

/*
 * The contract of a log: where events become numbered and stored. A backend implements it in `store` and embeds car_log
 * as its first member.
 */
struct car_log_ops {
    /* Something is to be numbered for the tenant, and the caller has just become its drainer: the log now has the job.
     * It calls car_drain_take, car_drain_seal and car_drain_finish (drain.h) here or on another thread of its own,
     * soon. Any worker's thread. */
    void (*ready)(struct car_log *log, struct car_tenant *tenant, struct car_worker *worker);

    /* All workers have ended. Nulls the pointer. */
    void (*close)(struct car_log **log);
};

struct car_log {
    const struct car_log_ops *ops;
    struct car_feed *feed;
    atomic_bool failing; /* what it was last asked to store was refused; written by who stores, read by any thread */
};

#endif
