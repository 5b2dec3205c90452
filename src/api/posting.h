#ifndef CARILLON_API_POSTING_H
#define CARILLON_API_POSTING_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/feed/publish.h"
#include "carillon/proto/json.h"
#include "carillon/proto/traceparent.h"
#include "carillon/runtime/task.h"

#include "draft.h"

struct car_api;
struct car_blob;
struct car_call;
struct car_event;
struct car_exchange;

/* The header line of an answer that was given before. */
#define CAR_POSTING_REPLAYED "Idempotent-Replayed: true\r\n"

/* A request that waits for its events to be in the log: one, or a batch. */
struct car_posting {
    struct car_publish publish; /* first; what it points to stands behind this struct */
    struct car_exchange *exchange;
    const struct car_api *api;
    struct car_task task; /* where writing its lines to the log, or its answer, takes more than one turn */
    uint32_t logged;      /* events of which a line was written */
    uint32_t told;        /* events that are in the answer of a batch (batch_answer.h) */
    struct car_blob *answer;
    uint64_t began_us; /* car_posted_begin */
    uint32_t room;     /* for events */
    bool batch;        /* is answered with an array, whatever its length */
    /* the references, and behind them, where there is one, the key */
    struct car_event *events[];
};

/* A request for at most so many events, which the caller adds. Its key is its Idempotency-Key, if it has one. NULL
 * where it was refused, and answered. */
struct car_posting *car_posting_new(struct car_call *call, uint32_t count, bool batch, uint64_t began_us);

/* Says what the SHA-256 of a batch's body is, which it has to know before it is sent, where it has a key. What is kept
 * covers what the body is as well: one event that is posted alone is not a batch of one. */
void car_posting_body(struct car_posting *posting, const uint8_t sha[32]);

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

/* The traceparent that the request has in its header, for its events' drafts; absent where it has none, or more than
 * one, or one that is none. Read into `text`. */
struct car_span car_posting_traceparent(const struct car_call *call, char text[CAR_TRACEPARENT_LEN]);

/* Checks what was picked of them (car_draft_check); the event's author is the request's, and its bytes
 * are counted (car_rate_publish). */
int car_posting_check(const struct car_call *call, const struct car_json_member *picked, struct car_draft_type *type,
                      struct car_draft *draft, struct car_draft_refusal *refusal);

#endif
