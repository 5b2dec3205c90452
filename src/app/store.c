#include "store.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/feed.h"
#include "carillon/store/memory.h"
#include "carillon/store/postgres.h"
#include "carillon/store/sqlite.h"

#define SQLITE "sqlite:"

static int open_memory(const struct car_config *config, struct car_feed *feed, char *why, size_t size) {
    if (config->retention_ms) {
        car_log_warn("--retention: events in memory are forgotten by their number only");
    }
    feed->log = car_log_memory(feed);
    if (!feed->log) {
        snprintf(why, size, "cannot start: %s", car_strerror(CAR_ENOMEM));
    }
    return feed->log ? 0 : CAR_ENOMEM;
}

int car_store_open(const struct car_config *config, struct car_feed *feed, struct car_reclaim *reclaim,
                   struct car_reader *reader, int lock, char *why, size_t size) {
    const char *store = config->store;
    bool relaxed = config->durability == CAR_DURABILITY_RELAXED;
    if (strcmp(store, "memory:") == 0) {
        return open_memory(config, feed, why, size);
    }
    if (strncmp(store, SQLITE, strlen(SQLITE)) != 0) {
        const struct car_postgres_config postgres = {.uri = store,
                                                     .relaxed = relaxed,
                                                     .retain_ms = config->retention_ms,
                                                     .retain_count = config->retention_count};
        return car_log_postgres(feed, reclaim, reader, &postgres, &feed->log, why, size);
    }
    const struct car_sqlite_config sqlite = {.path = store + strlen(SQLITE),
                                             .lock = lock,
                                             .relaxed = relaxed,
                                             .retain_ms = config->retention_ms,
                                             .retain_count = config->retention_count};
    return car_log_sqlite(feed, reclaim, reader, &sqlite, &feed->log, why, size);
}
