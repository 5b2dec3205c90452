#include <stdatomic.h>

#include "carillon/base/err.h"
#include "carillon/runtime/worker.h"

#include "group_health.h"
#include "group_state.h"

static void come_to_rest(struct car_group *group) {
    int expected = CAR_LOG_GOES_TO_REST;
    int err = group->owed.count ? car_group_flush(group) : 0;
    err = err || !car_group_is_failing(&group->log) ? err : CAR_ESYS;
    if (!err) {
        group->resting = true;
        car_timer_clear(group->worker->wheel, &group->timer);
        car_timer_clear(group->worker->wheel, &group->tending);
        car_timer_clear(group->worker->wheel, &group->look);
        group->rows->ops->rest(group->rows, true);
    }
    (void)atomic_compare_exchange_strong(&group->log.rest, &expected, err ? CAR_LOG_CANNOT_REST : CAR_LOG_RESTS);
}

static void wake(struct car_group *group) {
    int expected = CAR_LOG_WAKES;
    if (group->resting) {
        group->resting = false;
        group->rows->ops->rest(group->rows, false);
        if (group->rows->may_go) {
            car_timer_set(group->worker->wheel, &group->look, CAR_GROUP_PROBE_MS);
        }
    }
    (void)atomic_compare_exchange_strong(&group->log.rest, &expected, CAR_LOG_AWAKE);
}

/* Told anew where it is asked for something else meanwhile. */
static void on_rest(struct car_note *note, void *owner) {
    struct car_group *group = (struct car_group *)((char *)note - offsetof(struct car_group, rest));
    (void)owner;
    atomic_exchange(&group->rest_told, false);
    if (group->stopping) {
        return;
    }
    if (atomic_load(&group->log.rest) == CAR_LOG_GOES_TO_REST) {
        come_to_rest(group);
    } else {
        wake(group);
    }
}

void car_group_rest_init(struct car_group *group) {
    group->rest.run = on_rest;
}

void car_group_rest(struct car_log *log, bool on) {
    struct car_group *group = car_group_of(log);
    atomic_store(&log->rest, on ? CAR_LOG_GOES_TO_REST : CAR_LOG_WAKES);
    if (!atomic_exchange(&group->rest_told, true)) {
        car_mailbox_post(&group->worker->mailbox, &group->rest);
    }
}

enum car_log_rest car_group_rests(const struct car_log *log) {
    const struct car_rows *rows = ((const struct car_group *)log)->rows;
    enum car_log_rest rest = (enum car_log_rest)atomic_load(&log->rest);
    bool beside = rest == CAR_LOG_RESTS && rows->ops->rests && !rows->ops->rests(rows);
    return beside ? CAR_LOG_GOES_TO_REST : rest;
}

int car_group_lock(const struct car_log *log) {
    const struct car_rows *rows = ((const struct car_group *)log)->rows;
    return rows->ops->lock ? rows->ops->lock(rows) : -1;
}
