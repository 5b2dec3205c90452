#ifndef CARILLON_STORE_GROUP_KEYS_H
#define CARILLON_STORE_GROUP_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "group.h"

/* Bounds of a group: the events of one transaction, which may go beyond them by one batch, and the events that were
 * answered and are not committed. No publish has less than one event, so they bound publishes and keys as well. */
#define CAR_GROUP_EVENTS 4096u
#define CAR_GROUP_OWED   (4 * CAR_GROUP_EVENTS)

/* The keys that a group's transactions have to do with. The log's thread's. */
struct car_group_keys {
    struct car_publish *asked[CAR_GROUP_EVENTS]; /* those in this transaction that have one */
    size_t asked_count;
    struct car_rows_key rows[CAR_GROUP_OWED]; /* first those that are owed, then those that were added */
    size_t owed;
    size_t added;
    int64_t swept_ms; /* when old keys were last looked for */
};

/* A transaction is to be filled. */
void car_group_keys_begin(struct car_group_keys *keys);

/* This publish is in it; one without a key is passed over. */
void car_group_keys_ask(struct car_group_keys *keys, struct car_publish *publish);

/* Looks up the keys that were asked for, and decides what is known (repeat.h). */
int car_group_keys_recall(struct car_group_keys *keys, struct car_rows *rows);

/* This publish is stored, its events are sealed: its key, if it has one, goes with them. */
void car_group_keys_add(struct car_group_keys *keys, const struct car_publish *publish);

/* Stores what was added, and forgets some of what is too old. */
int car_group_keys_store(struct car_group_keys *keys, struct car_rows *rows, int64_t now_ms);

/* What was added is stored, but not committed: it is owed from now on, until it is paid. */
void car_group_keys_owe(struct car_group_keys *keys);
void car_group_keys_pay(struct car_group_keys *keys);

/* Stores once more what is owed. */
int car_group_keys_store_owed(struct car_group_keys *keys, struct car_rows *rows);

#endif
