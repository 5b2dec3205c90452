#include "log_ask.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carillon/feed/event.h"

static atomic_bool done;

static void on_answer(struct car_log_ask *ask) {
    (void)ask;
    atomic_store(&done, true);
}

struct question {
    struct feed_fixture *f;
    struct car_log_ask *ask;
};

static void ask_it(struct car_worker *worker, void *arg) {
    struct question *question = arg;
    question->ask->worker = worker;
    question->ask->done = on_answer;
    question->f->feed.log->ops->ask(question->f->feed.log, question->ask);
}

static int ask(struct feed_fixture *f, struct car_log_ask *about) {
    struct question question = {f, about};
    atomic_store(&done, false);
    feed_call(f, 0, ask_it, &question);
    while (!atomic_load(&done)) {
        usleep(100);
    }
    return about->status;
}

int log_ask_page(struct feed_fixture *f, struct car_log_page *page) {
    page->ask.kind = CAR_LOG_PAGE;
    return ask(f, &page->ask);
}

void log_let_go(struct car_log_page *page) {
    while (page->count) {
        car_event_unref(&page->events[--page->count]);
    }
}

unsigned log_ask_passing(struct feed_fixture *f, struct car_tenant *tenant, uint64_t first, uint64_t last,
                         bool descending, const struct car_filter *filter, uint64_t *out, unsigned max) {
    unsigned count = 0;
    while (first <= last) {
        struct car_log_page page = {.ask = {.tenant = tenant},
                                    .first = first,
                                    .last = last,
                                    .descending = descending,
                                    .max_events = 1 + (unsigned)(first % CAR_LOG_PAGE_EVENTS),
                                    .max_bytes = 1 << 20,
                                    .filter = filter};
        if (log_ask_page(f, &page) != 0 || page.seen == 0) {
            break;
        }
        for (unsigned i = 0; i < page.count && count < max; i++) {
            out[count++] = page.events[i]->seq;
        }
        log_let_go(&page);
        *(descending ? &last : &first) += descending ? -page.seen : page.seen;
    }
    return count;
}

unsigned log_ask_found(struct feed_fixture *f, struct car_tenant *tenant) {
    static uint64_t seqs[1000];
    return log_ask_passing(f, tenant, 1, car_tenant_newest(tenant), false, NULL, seqs, sizeof seqs / sizeof *seqs);
}

uint64_t log_ask_count(struct feed_fixture *f, struct car_tenant *tenant, const char *type) {
    struct car_log_types *types = calloc(1, sizeof *types);
    uint64_t count = 0;
    types->ask = (struct car_log_ask){.kind = CAR_LOG_TYPES, .tenant = tenant};
    if (ask(f, &types->ask) == 0) {
        for (unsigned i = 0; i < types->count; i++) {
            count += !type || strcmp(types->types[i].type, type) == 0 ? types->types[i].count : 0;
        }
    }
    free(types);
    return count;
}
