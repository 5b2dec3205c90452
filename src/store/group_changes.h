#ifndef CARILLON_STORE_GROUP_CHANGES_H
#define CARILLON_STORE_GROUP_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "group.h"

struct car_log_change;

/* So many changes go into one transaction. */
#define CAR_GROUP_CHANGES 256u

/* The changes that wait for a group, in the order in which they came, and those that are being stored. The log's
 * thread's. */
struct car_group_changes {
    struct car_log_change *head, **tail;
    struct car_log_change *taken[CAR_GROUP_CHANGES];
    size_t count;
};

void car_group_changes_init(struct car_group_changes *changes);

void car_group_changes_put(struct car_group_changes *changes, struct car_log_change *change);

static inline bool car_group_changes_wait(const struct car_group_changes *changes) {
    return changes->head != NULL;
}

/* Takes the first of them. Those that are not to be stored are settled. false where none is left. */
bool car_group_changes_take(struct car_group_changes *changes, struct car_feed *feed, const struct car_rows *rows,
                            struct car_worker *self);

/* Stores what was taken, within begin and commit. */
int car_group_changes_store(struct car_group_changes *changes, struct car_rows *rows);

/* It is committed (0), or not. A tenant that was removed gets in line to be closed. */
void car_group_changes_settle(struct car_group_changes *changes, struct car_log *log, int err, struct car_worker *self);

#endif
