#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/runtime/worker.h"

#include "account_state.h"

void car_change(struct car_log_change *change, struct car_worker *worker) {
    struct car_feed_local *local = car_feed_local(worker->feed);
    struct car_log *log = local->feed->log;
    change->worker = worker;
    change->log = log;
    change->kept = NULL;
    change->status = 0;
    car_feed_publishing(local, 1); /* a worker does not stop before it has the answer */
    log->ops->change(log, change);
}

int car_change_prepare(struct car_log_change *change, const struct car_log_change *before) {
    if (car_tenant_is_removed(change->tenant)) {
        return CAR_ECLOSED;
    }
    if (change->kind == CAR_LOG_TENANT_PUT) {
        if (change->partly) {
            const struct car_tenant_terms *base = before ? before->terms : car_tenant_terms(change->tenant);
            car_tenant_terms_merge(change->terms, base, change->members);
        }
        change->kept = car_tenant_kept_new(change->terms);
        return change->kept ? 0 : CAR_ENOMEM;
    }
    return 0;
}

/* What was stored is so from now on. */
static int make_it_so(struct car_feed *feed, struct car_log_change *change, struct car_reader *reader) {
    /* One that came just before it, in the same transaction, may have removed the tenant. */
    if (car_tenant_is_removed(change->tenant)) {
        return CAR_ECLOSED;
    }
    if (change->kind == CAR_LOG_TENANT_PUT) {
        car_tenant_keep(change->tenant, reader, change->kept);
        change->kept = NULL;
    } else if (change->kind == CAR_LOG_TENANT_REMOVE) {
        car_registry_remove(feed->registry, reader, change->tenant);
    }
    return 0;
}

static void done(struct car_log_change *change, struct car_worker *self) {
    struct car_feed_local *local = car_feed_local(self->feed);
    change->done(change);
    car_feed_publishing(local, -1);
}

static void on_done(struct car_note *note, void *owner) {
    done((struct car_log_change *)note, owner); /* its first member */
}

void car_change_settle(struct car_feed *feed, struct car_log_change *change, int status, struct car_worker *self) {
    bool fresh = change->kind == CAR_LOG_TENANT_PUT && change->fresh;
    change->status = status ? status : make_it_so(feed, change, self->reader);
    if (status && fresh && car_tenant_newest(change->tenant) == 0) {
        car_registry_remove(feed->registry, self->reader, change->tenant);
    }
    car_tenant_kept_free(&change->kept);
    change->note.run = on_done;
    if (change->worker == self) {
        done(change, self);
    } else {
        car_worker_post(self, change->worker, &change->note);
    }
}
