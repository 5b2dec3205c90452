#ifndef CARILLON_RUNTIME_LINK_H
#define CARILLON_RUNTIME_LINK_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "carillon/runtime/flow.h"

/* Rings of links (flow.h) with a head. */

static inline void car_link_init(struct car_link *head) {
    head->next = head->prev = head;
}

static inline bool car_link_is_alone(const struct car_link *head) {
    return head->next == head;
}

/* Behind `at`: first of a ring where that is its head; its last where `at` is the head's `prev`. */
static inline void car_link_put(struct car_link *at, struct car_link *link) {
    link->prev = at;
    link->next = at->next;
    at->next->prev = link;
    at->next = link;
}

static inline void car_link_remove(struct car_link *link) {
    assert(link->prev && link->next);
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

#endif
