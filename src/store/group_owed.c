#include "group_owed.h"

#include "carillon/feed/event.h"

void car_group_owe(struct car_group_owed *owed, const struct car_publish *publish) {
    for (uint32_t i = 0; i < publish->count; i++) {
        owed->events[owed->count++] = car_event_ref(publish->events[i]);
    }
}

int car_group_insert_owed(const struct car_group_owed *owed, struct car_rows *rows) {
    int err = 0;
    for (size_t i = 0, end; i < owed->count && !err; i = end) {
        const struct car_tenant *tenant = owed->events[i]->tenant;
        for (end = i + 1; end < owed->count && owed->events[end]->tenant == tenant; end++) {
        }
        err = rows->ops->tenant(rows, tenant, owed->events[end - 1]->seq);
        for (size_t k = i; k < end && !err; k++) {
            err = rows->ops->insert(rows, owed->events[k]);
        }
    }
    return err;
}

void car_group_let_go(struct car_group_owed *owed) {
    while (owed->count) {
        car_event_unref(&owed->events[--owed->count]);
    }
}
