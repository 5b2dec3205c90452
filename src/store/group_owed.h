#ifndef CARILLON_STORE_GROUP_OWED_H
#define CARILLON_STORE_GROUP_OWED_H

#include <stddef.h>

#include "group_keys.h"

/* The events that a group has published and not committed: --durability relaxed. The log's thread's. */
struct car_group_owed {
    struct car_event *events[CAR_GROUP_OWED]; /* in the order in which they were published */
    size_t count;
};

/* What was inserted is answered before it is committed: a publish's events, for which there is room. */
void car_group_owe(struct car_group_owed *owed, const struct car_publish *publish);

/* Inserts once more what a transaction that failed has dropped. */
int car_group_insert_owed(const struct car_group_owed *owed, struct car_rows *rows);

/* They are committed, or lost. */
void car_group_let_go(struct car_group_owed *owed);

#endif
