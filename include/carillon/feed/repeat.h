#ifndef CARILLON_FEED_REPEAT_H
#define CARILLON_FEED_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/feed/publish.h"

/*
 * Publishes that have a key (struct car_publish_key), of which each is stored once. The drainer decides, being the only
 * one who stores anything of its tenant: between taking (car_drain_take) and numbering it looks up what is known of
 * each key (car_repeat_fits, car_repeat_replay) and sorts; what is left in front is numbered, stored with its keys, and
 * published or refused, as ever; the others have their answer from what was stored before, or wait for one in front
 * that has the same key (its twin).
 */

/* How long a key is known. */
#define CAR_REPEAT_MS (INT64_C(24) * 60 * 60 * 1000)

/* Whether any of these has a key. */
bool car_repeat_any(struct car_publish *const *batch, size_t count);

/* The publish's key is known, with that body (32 bytes), for so many events. Whether it is a repeat of that; otherwise
 * it is to be refused, and has that status. */
bool car_repeat_fits(struct car_publish *publish, const uint8_t *body, uint32_t count);

/* It is a repeat: its events become references to these, which are as many. */
void car_repeat_replay(struct car_publish *publish, struct car_event *const *events);

/* Puts those that are to be stored in front, in their order. Returns how many they are. At most CAR_DRAIN_BATCH. */
size_t car_repeat_sort(struct car_publish **batch, size_t count);

/* Those in front have been numbered and will be published (`status` is 0) or refused: what that means for the others.
 * Before any of those in front is answered. */
void car_repeat_settle(struct car_publish **others, size_t count, int status);

#endif
