#include "pages.h"

#include <stdint.h>
#include <stdlib.h>

#include "carillon/feed/log.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

struct reader {
    struct car_worker *worker;
    struct car_note stop;
    void *reader;
    const struct car_reader_ops *ops;
};

struct car_pages {
    unsigned count;
    struct reader readers[];
};

static struct car_log_ask *of_note(struct car_note *note) {
    return (struct car_log_ask *)((char *)note - offsetof(struct car_log_ask, note));
}

static void on_done(struct car_note *note, void *owner) {
    struct car_log_ask *ask = of_note(note);
    (void)owner;
    ask->done(ask);
}

static void on_ask(struct car_note *note, void *owner) {
    struct car_log_ask *ask = of_note(note);
    struct car_worker *worker = owner;
    struct reader *reader = worker->user;
    ask->status = ask->kind == CAR_LOG_PAGE ? reader->ops->page(reader->reader, (struct car_log_page *)ask)
                                            : reader->ops->types(reader->reader, (struct car_log_types *)ask);
    ask->note.run = on_done;
    car_worker_post(worker, ask->worker, &ask->note);
}

/* The same one for a tenant always. */
static struct reader *reader_for(struct car_pages *pages, const struct car_tenant *tenant) {
    uint64_t hash = (uint64_t)(uintptr_t)tenant * UINT64_C(0x9e3779b97f4a7c15);
    return &pages->readers[(hash >> 32) % pages->count];
}

void car_pages_ask(struct car_pages *pages, struct car_log_ask *ask) {
    ask->note.run = on_ask;
    car_worker_post(ask->worker, reader_for(pages, ask->tenant)->worker, &ask->note);
}

static void on_stop(struct car_note *note, void *owner) {
    (void)note;
    car_worker_stop(owner);
}

static int start(struct reader *reader, struct car_reclaim *reclaim) {
    int err = car_worker_open(&reader->worker, 0, reclaim);
    if (err) {
        reader->worker = NULL;
        return err;
    }
    reader->worker->name = "reader";
    reader->worker->user = reader;
    reader->stop.run = on_stop;
    err = car_worker_start(reader->worker);
    if (err) {
        car_worker_join(reader->worker);
        car_worker_close(&reader->worker);
    }
    return err;
}

static void stop_all(struct car_pages *pages) {
    for (unsigned i = 0; i < pages->count; i++) {
        struct reader *reader = &pages->readers[i];
        if (reader->worker) {
            car_mailbox_post(&reader->worker->mailbox, &reader->stop);
            car_worker_join(reader->worker);
            car_worker_close(&reader->worker);
        }
    }
}

struct car_pages *car_pages_open(struct car_reclaim *reclaim, const struct car_reader_ops *ops, void *const *readers,
                                 unsigned count) {
    struct car_pages *pages = calloc(1, sizeof *pages + count * sizeof pages->readers[0]);
    if (!pages) {
        return NULL;
    }
    pages->count = count;
    for (unsigned i = 0; i < count; i++) {
        pages->readers[i] = (struct reader){.reader = readers[i], .ops = ops};
        if (start(&pages->readers[i], reclaim) != 0) {
            stop_all(pages);
            free(pages);
            return NULL;
        }
    }
    return pages;
}

void car_pages_close(struct car_pages **pages) {
    stop_all(*pages);
    for (unsigned i = 0; i < (*pages)->count; i++) {
        (*pages)->readers[i].ops->free((*pages)->readers[i].reader);
    }
    free(*pages);
    *pages = NULL;
}
