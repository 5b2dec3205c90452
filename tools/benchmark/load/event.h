#ifndef CARILLON_LOAD_EVENT_H
#define CARILLON_LOAD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "marker.h"

struct load;

/* An event as it came. */
struct event {
    uint32_t tenant; /* whose it says it is; UINT32_MAX: nobody's here. Not where messages travel bare */
    uint64_t seq;    /* not where messages travel bare */
    struct marker marker;
    bool intact; /* the message is what a publisher sends, from its first byte to its last */
};

/* Reads one that begins with the text, as the servers write it: its members always come in the same order, without
 * spaces. Returns false where it is none, or its message does not begin with a marker. */
bool event_read(const struct load *load, const char *text, size_t len, struct event *event);

/* The number that all of the text consists of; UINT64_MAX where it does not. */
uint64_t number_read(const char *text, size_t len);

#endif
