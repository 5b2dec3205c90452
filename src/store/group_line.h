#ifndef CARILLON_STORE_GROUP_LINE_H
#define CARILLON_STORE_GROUP_LINE_H

#include "carillon/feed/drain.h"

/* The tenants whose drainer a group is, and whose turn is still to come, in order. The log's thread's. */
struct car_group_line {
    struct car_drain_seat *head, **tail;
};

static inline void car_group_line_init(struct car_group_line *line) {
    line->head = NULL;
    line->tail = &line->head;
}

static inline void car_group_line_push(struct car_group_line *line, struct car_drain_seat *seat) {
    seat->next = NULL;
    *line->tail = seat;
    line->tail = &seat->next;
}

static inline struct car_drain_seat *car_group_line_pop(struct car_group_line *line) {
    struct car_drain_seat *seat = line->head;
    line->head = seat->next;
    if (!line->head) {
        line->tail = &line->head;
    }
    return seat;
}

#endif
