#include "group_changes.h"

#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/drain.h"

void car_group_changes_init(struct car_group_changes *changes) {
    changes->head = NULL;
    changes->tail = &changes->head;
    changes->count = 0;
}

void car_group_changes_put(struct car_group_changes *changes, struct car_log_change *change) {
    change->next = NULL;
    *changes->tail = change;
    changes->tail = &change->next;
}

static struct car_log_change *pop(struct car_group_changes *changes) {
    struct car_log_change *change = changes->head;
    changes->head = change->next;
    if (!changes->head) {
        changes->tail = &changes->head;
    }
    return change;
}

/* The last of those taken that gives that change's tenant other terms. */
static const struct car_log_change *last_put(const struct car_group_changes *changes,
                                             const struct car_log_change *change) {
    for (size_t i = changes->count; i-- > 0;) {
        const struct car_log_change *taken = changes->taken[i];
        if (taken->tenant == change->tenant && taken->kind == CAR_LOG_TENANT_PUT) {
            return taken;
        }
    }
    return NULL;
}

bool car_group_changes_take(struct car_group_changes *changes, struct car_feed *feed, const struct car_rows *rows,
                            struct car_worker *self) {
    changes->count = 0;
    while (changes->head && changes->count < CAR_GROUP_CHANGES) {
        struct car_log_change *change = pop(changes);
        int err = rows->ops->change ? car_change_prepare(change, last_put(changes, change)) : CAR_ESYS;
        if (err) {
            car_change_settle(feed, change, err, self);
        } else {
            changes->taken[changes->count++] = change;
        }
    }
    return changes->count > 0;
}

int car_group_changes_store(struct car_group_changes *changes, struct car_rows *rows) {
    int err = 0;
    for (size_t i = 0; i < changes->count && !err; i++) {
        err = rows->ops->change(rows, changes->taken[i]);
    }
    return err;
}

void car_group_changes_settle(struct car_group_changes *changes, struct car_log *log, int err,
                              struct car_worker *self) {
    for (size_t i = 0; i < changes->count; i++) {
        struct car_tenant *tenant = changes->taken[i]->tenant;
        car_change_settle(log->feed, changes->taken[i], err, self); /* it may be gone now */
        if (car_tenant_is_removed(tenant) && car_drain_claim(tenant)) {
            log->ops->ready(log, tenant, self);
        }
    }
    changes->count = 0;
}
