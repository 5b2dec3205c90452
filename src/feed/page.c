#include "page.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/runtime/worker.h"

/* What is published and not in the store yet is there within 100 ms, as a rule. */
#define RETRY_MS  20
#define TRIES_MAX 100

static void let_go(struct car_page *page) {
    while (page->log.count) {
        car_event_unref(&page->log.events[--page->log.count]);
    }
}

static void ask(struct car_page *page) {
    struct car_feed_local *local = car_feed_local(page->log.ask.worker->feed);
    page->out = true;
    page->log.count = 0;
    page->log.seen = 0;
    car_feed_publishing(local, 1);
    local->feed->log->ops->ask(local->feed->log, &page->log.ask);
}

static void on_answer(struct car_log_ask *answer) {
    struct car_page *page = (struct car_page *)answer; /* its first member's first member */
    struct car_worker *worker = answer->worker;
    page->out = false;
    if (page->orphan) {
        let_go(page);
        free(page);
    } else if (answer->status == 0 && page->log.seen == 0 && ++page->tries < TRIES_MAX) {
        car_timer_set(worker->wheel, &page->timer, RETRY_MS);
    } else {
        answer->status = answer->status == 0 && page->log.seen == 0 ? CAR_EFULL : answer->status;
        page->done(page);
    }
    car_feed_publishing(car_feed_local(worker->feed), -1);
}

static void on_timer(struct car_timer *timer) {
    ask((struct car_page *)((char *)timer - offsetof(struct car_page, timer)));
}

struct car_page *car_page_new(struct car_worker *worker, struct car_tenant *tenant, void (*done)(struct car_page *page),
                              void *user) {
    struct car_page *page = calloc(1, sizeof *page);
    if (page) {
        page->log.ask =
            (struct car_log_ask){.kind = CAR_LOG_PAGE, .tenant = tenant, .worker = worker, .done = on_answer};
        page->done = done;
        page->user = user;
        page->timer.fire = on_timer;
    }
    return page;
}

void car_page_ask(struct car_page *page) {
    page->tries = 0;
    ask(page);
}

void car_page_free(struct car_page **page) {
    struct car_page *p = *page;
    *page = NULL;
    if (p && p->out) {
        p->orphan = true;
    } else if (p) {
        car_timer_clear(p->log.ask.worker->wheel, &p->timer);
        let_go(p);
        free(p);
    }
}
