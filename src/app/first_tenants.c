#include "first_tenants.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/worker.h"

/* For all of them. */
#define WAIT_S 10

struct car_first_tenant {
    struct car_log_change change; /* first */
    struct car_first_tenants *all;
    struct car_tenant_terms terms;
};

static int add(struct car_first_tenants *first, struct car_feed *feed, struct car_reader *reader, const char *id) {
    struct car_tenant *tenant;
    int err = car_registry_add(feed->registry, reader, car_span_cstr(id), &tenant);
    if (!err && feed->log->ops->ask) {
        first->unknown[first->count++].change.tenant = tenant;
    }
    return err == CAR_EEXIST ? 0 : err;
}

int car_first_tenants_add(struct car_first_tenants *first, const struct car_config *config, struct car_feed *feed,
                          struct car_reader *reader) {
    int err = 0;
    (void)sem_init(&first->done, 0, 0);
    first->unknown = calloc(config->tenants.count + 1, sizeof *first->unknown);
    if (!first->unknown) {
        return CAR_ENOMEM;
    }
    for (size_t i = 0; !err && i < config->tenants.count; i++) {
        err = add(first, feed, reader, config->tenants.items[i]);
    }
    return err;
}

static void on_stored(struct car_log_change *change) {
    struct car_first_tenants *first = ((struct car_first_tenant *)change)->all; /* its first member */
    atomic_fetch_add(&first->failed, change->status != 0);
    sem_post(&first->done);
}

/* On the worker. Their terms are left as they are. */
static void on_store(struct car_note *note, void *owner) {
    struct car_first_tenants *first = (struct car_first_tenants *)note; /* its first member */
    for (size_t i = 0; i < first->count; i++) {
        struct car_first_tenant *tenant = &first->unknown[i];
        tenant->all = first;
        tenant->change.kind = CAR_LOG_TENANT_PUT;
        tenant->change.terms = &tenant->terms;
        tenant->change.partly = true;
        tenant->change.done = on_stored;
        car_change(&tenant->change, owner);
    }
}

void car_first_tenants_store(struct car_first_tenants *first, struct car_worker *worker) {
    struct timespec until;
    if (first->count == 0) {
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    first->note.run = on_store;
    car_mailbox_post(&worker->mailbox, &first->note);
    size_t done = 0;
    bool late = false;
    while (done < first->count && !late) {
        bool posted = sem_timedwait(&first->done, &until) == 0;
        done += posted;
        late = !posted && errno != EINTR;
    }
    size_t missing = first->count - done + atomic_load(&first->failed);
    if (missing) {
        car_log_warn("the store has not taken %zu tenants of --tenants that it does not know", missing);
    }
}

void car_first_tenants_free(struct car_first_tenants *first) {
    if (first->unknown) {
        (void)sem_destroy(&first->done);
    }
    free(first->unknown);
    first->unknown = NULL;
}
