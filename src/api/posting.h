#ifndef CARILLON_API_POSTING_H
#define CARILLON_API_POSTING_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/feed/publish.h"
#include "carillon/proto/json.h"

#include "draft.h"

struct car_api;
struct car_call;
struct car_event;
struct car_exchange;

/* A request that waits for its events to be in the log: one, or a batch. */
struct car_posting {
    struct car_publish publish; /* first; what it points to stands behind this struct */
    struct car_exchange *exchange;
    const struct car_api *api;
    uint64_t began_us; /* car_posted_begin */
    uint32_t room;     /* for events */
    bool batch;        /* is answered with an array, whatever its length */
    /* the references, and behind them, where there is one, the key */
    struct car_event *events[];
};

/* A request for so many events, which the caller adds. Its key is its Idempotency-Key, if it has one. NULL where it was
 * refused, and answered. */
struct car_posting *car_posting_new(struct car_call *call, uint32_t count, bool batch, uint64_t began_us);

/* Adds the next event: takes over the reference. */
static inline void car_posting_add(struct car_posting *posting, struct car_event *event) {
    posting->events[posting->publish.count++] = event;
}

/* Drops it, with the events that were added. */
void car_posting_free(struct car_posting *posting);

/* Takes it over and has its events published, if the tenant's limits let them through: answers the request, now or
 * later. */
void car_posting_send(struct car_posting *posting, struct car_call *call);

/* Answers a request whose events cannot be taken: memory ran out, or the tenant's queue is full. */
void car_posting_refuse(struct car_call *call);

/* The members of an event's JSON object, for car_json_pick. */
#define CAR_POSTING_WANTED                                                                                             \
    {                                                                                                                  \
        {.name = "message"}, {.name = "metadata"}, {                                                                   \
            .name = "type"                                                                                             \
        }                                                                                                              \
    }

/* Checks what was picked of them (car_draft_check); the event's author is the request's, and its bytes
 * are counted (car_rate_publish). */
int car_posting_check(const struct car_call *call, const struct car_json_member *picked, struct car_draft_type *type,
                      struct car_draft *draft, struct car_draft_refusal *refusal);

#endif
