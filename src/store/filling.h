#ifndef CARILLON_STORE_FILLING_H
#define CARILLON_STORE_FILLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"
#include "carillon/feed/log.h"

struct car_event_row;

/* Filling in an answer (log.h), whatever it is read from. On a reader's thread. */

/* What a store has of a tenant, in one transaction with what is read then. */
struct car_place {
    int64_t n;
    uint64_t newest, forgotten; /* newest: 0 where the tenant is not there yet */
};

/* A page on its way. */
struct car_filling {
    struct car_log_page *page;
    const struct car_place *place;
    uint64_t first, last; /* of what is read, both included */
    uint64_t next;        /* the one behind the last that was looked at */
    size_t bytes;
};

/* Begins with the part of the page's range that is there. false where there is none of it: the page is answered. */
bool car_filling_begin(struct car_filling *f, struct car_log_page *page, const struct car_place *place);

bool car_filling_is_full(const struct car_filling *f);

/* What `next` is once all has been looked at. */
uint64_t car_filling_end(const struct car_filling *f);

/* Has looked at the event of that row, and takes it where it passes. 0 or CAR_ENOMEM. */
int car_filling_take(struct car_filling *f, const struct car_event_row *row, struct car_buf *scratch);

/* Answers the page with what there is, or, after an error, with nothing. Returns the error. */
int car_filling_finish(struct car_filling *f, int err);

/* Takes away what a page was answered with. */
void car_filling_drop(struct car_log_page *page);

/* Adds a type to an answer that has room for it. */
void car_types_put(struct car_log_types *types, struct car_span type, int64_t count);

#endif
