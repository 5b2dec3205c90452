#ifndef CARILLON_FEED_PAGE_H
#define CARILLON_FEED_PAGE_H

#include <stdbool.h>

#include "carillon/feed/log.h"
#include "carillon/runtime/timer.h"

/*
 * A page of the log that somebody waits for, who may go before it comes. Belongs to the worker's thread. The worker
 * does not stop while the log has a page of it.
 */
struct car_page {
    struct car_log_page log; /* first */
    void (*done)(struct car_page *page);
    void *user;
    struct car_timer timer; /* until it is asked for once more */
    unsigned tries;
    bool out;    /* the log has it */
    bool orphan; /* nobody waits for it any more */
};

/* NULL without memory. `done` is called for each car_page_ask, later: with an answer as log.h says, but that `seen` is
 * not 0: CAR_EFULL where what is published does not come to the store for long. */
struct car_page *car_page_new(struct car_worker *worker, struct car_tenant *tenant, void (*done)(struct car_page *page),
                              void *user);

/* Asks the log. The caller has set what of page->log is asked, and has taken what was in it. */
void car_page_ask(struct car_page *page);

/* Gives it up, wherever it is, and nulls the pointer; NULL inside is allowed. */
void car_page_free(struct car_page **page);

#endif
