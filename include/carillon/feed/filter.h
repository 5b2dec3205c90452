#ifndef CARILLON_FEED_FILTER_H
#define CARILLON_FEED_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/buf.h"

struct car_event;

#define CAR_FILTER_TYPES_MAX 64
#define CAR_FILTER_WORDS_MAX 32

/* Which events are asked for. Zero-initialised lets everything pass. Not changed while it is used, by any thread. */
struct car_filter {
    struct car_buf types;   /* one of these, each with a NUL behind it (words.h); empty for all */
    struct car_buf words;   /* all of these (car_words_asked); empty for all */
    int64_t from_ms, to_ms; /* both inclusive */
    bool has_from, has_to;
    bool nothing; /* what is asked for is no word at all, so nothing has it */
};

void car_filter_free(struct car_filter *filter);

/* Whether it lets everything pass. */
bool car_filter_is_empty(const struct car_filter *filter);

/* Whether an event of that type and time may pass, its words aside. */
bool car_filter_admits(const struct car_filter *filter, struct car_span type, int64_t wall_ms);

/* `scratch` is the caller's, for decoding what is searched. */
bool car_filter_passes(const struct car_filter *filter, const struct car_event *event, struct car_buf *scratch);

#endif
