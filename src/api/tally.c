#include "tally.h"

#include <string.h>

#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"

#define PIECE 64

/* After so many beginnings it goes on to the end at once. */
#define BEGUN_MAX 4

void car_tally_begin(struct car_tally *tally, const struct car_feed *feed, struct car_tenant *tenant) {
    unsigned begun = tally->begun;
    json_decref(tally->by_type);
    *tally = (struct car_tally){.begun = begun + 1, .last = car_tenant_newest(tenant), .by_type = json_object()};
    tally->next = car_feed_oldest(feed, tenant);
}

/* A tenant's events are of few types, as a rule, and often of one in a row: so they are not looked up each. */
static void flush(struct car_tally *tally) {
    struct car_tally_run *run = &tally->run;
    if (run->count) {
        json_int_t before = json_integer_value(json_object_getn(tally->by_type, run->type, run->len));
        json_object_setn_new(tally->by_type, run->type, run->len, json_integer(before + run->count));
        run->count = 0;
    }
}

static void count(struct car_tally *tally, const struct car_event *event) {
    struct car_tally_run *run = &tally->run;
    struct car_span type = car_event_type(event);
    if (run->len != type.len || memcmp(run->type, type.ptr, type.len) != 0) {
        flush(tally);
        run->len = (uint32_t)type.len;
        memcpy(run->type, type.ptr, type.len);
    }
    run->count++;
    tally->first = tally->total ? tally->first : event->seq;
    tally->last_ms = event->wall_ms;
    tally->total++;
}

/* Counts what was read, up to the end, and lets go of it. */
static void take(struct car_tally *tally, struct car_event **events, size_t n, bool counts) {
    for (size_t i = 0; i < n; i++) {
        if (counts && events[i]->seq <= tally->last) {
            count(tally, events[i]);
        }
        tally->next = events[i]->seq + 1;
        car_event_unref(&events[i]);
    }
}

bool car_tally_some(struct car_tally *tally, const struct car_feed *feed, struct car_tenant *tenant,
                    struct car_reader *reader, unsigned max) {
    struct car_event *events[PIECE];
    size_t n = 1;
    for (unsigned done = 0; tally->next <= tally->last && n > 0; done += (unsigned)n) {
        bool at_once = tally->begun > BEGUN_MAX;
        if (done >= max && !at_once) {
            return false;
        }
        n = car_tenant_read(tenant, reader, tally->next, events, PIECE);
        bool hole = n > 0 && tally->total > 0 && events[0]->seq != tally->next;
        take(tally, events, n, !hole || at_once);
        if (hole && !at_once) {
            car_tally_begin(tally, feed, tenant);
        }
    }
    flush(tally);
    return true;
}
