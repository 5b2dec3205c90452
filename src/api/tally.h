#ifndef CARILLON_API_TALLY_H
#define CARILLON_API_TALLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct car_feed;
struct car_reader;
struct car_tenant;

/* Events of one type in a row, which have not come into the sums yet. */
struct car_tally_run {
    char type[64];
    uint32_t len, count;
};

/*
 * The events that a log in memory has of a tenant, counted by type: some at a time, for there may be many. What it
 * comes to is what was there at one moment, `first` to `last` without a hole: where counted events are forgotten before
 * the others were counted, it begins anew.
 */
struct car_tally {
    uint64_t total, first, last; /* `last` is the newest seq of all, whether it is kept or not */
    int64_t last_ms;             /* of the last one that is kept */
    json_t *by_type;             /* the caller's */
    struct car_tally_run run;
    uint64_t next;
    unsigned begun; /* how often */
};

/* Of a tally that is zero. */
void car_tally_begin(struct car_tally *tally, const struct car_feed *feed, struct car_tenant *tenant);

/* Counts so many events, or a few more. true where that was the end: all are counted. Where it had to begin anew again
 * and again, it goes on to the end at once, and takes what it finds. On the thread whose reader that is. */
bool car_tally_some(struct car_tally *tally, const struct car_feed *feed, struct car_tenant *tenant,
                    struct car_reader *reader, unsigned max);

#endif
