#ifndef CARILLON_FEED_EVENT_H
#define CARILLON_FEED_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/base/uuid.h"
#include "carillon/runtime/reclaim.h"

struct car_event_key;
struct car_tenant;

/*
 * One event. Made by a publisher, sealed by the tenant's drainer with its seq and time, immutable from then on and
 * shared by reference; the last unref frees it, on whichever thread that is. Its JSON text is built once, by the
 * publisher; sealing fills in what was left open.
 */
struct car_event {
    struct car_retired retired; /* how the history lets go of it */
    const struct car_tenant *tenant;
    uint64_t seq;    /* 0 until sealed */
    int64_t wall_ms; /* 0 until sealed */
    atomic_uint refs;
    uint32_t size;  /* of the struct and its text */
    uint32_t start; /* where the text begins in `text`: it is written against the digits of seq */
    uint32_t end;
    uint32_t tail;    /* where what follows seq begins */
    uint32_t came_us; /* when it came into the log: the low bits of car_turn_us. By the drainer, before others see it */
    uint16_t type_at;
    uint8_t type_len : 7;
    uint8_t traced : 1; /* it has a traceparent */
    char text[];
};

/* What a publisher says. The spans are borrowed for the call. */
struct car_draft {
    struct car_span type;        /* valid (car_event_type_ok) */
    struct car_span message;     /* a JSON string literal, validated; absent where there is none */
    struct car_span metadata;    /* a JSON object, validated; absent where there is none */
    struct car_span author;      /* plain UTF-8; absent where there is none */
    struct car_span traceparent; /* of version 00 (car_traceparent_ok); absent where there is none */
};

/* Whether the text is an event's type: [A-Za-z0-9][A-Za-z0-9._:-]{0,63}. */
bool car_event_type_ok(struct car_span type);

/* An event as a store keeps it: what its text is made of. The spans are borrowed. */
struct car_event_row {
    uint64_t seq;
    int64_t wall_ms;
    struct car_uuid id;
    struct car_span type;
    struct car_span content; /* what stands in the text between type and timestamp: ,"message":… ,"metadata":… */
    struct car_span traceparent; /* of version 00 (car_traceparent_ok); absent, or empty, where there is none */
};

/* What a sealed event is made of. The spans live as long as the event. */
void car_event_row(const struct car_event *event, struct car_event_row *row);

/* The sealed event that a row of the tenant's says, with one reference: the same text as when it was stored. NULL where
 * memory ran out. */
struct car_event *car_event_restore(const struct car_tenant *tenant, const struct car_event_row *row);

/* A new event of the tenant with one reference, not sealed. NULL where memory ran out. */
struct car_event *car_event_new(const struct car_tenant *tenant, const struct car_draft *draft);

/* Gives the event its place, its time, and an id of that log. Once, before anybody else can see it. */
void car_event_seal(struct car_event *event, uint64_t seq, int64_t wall_ms, const struct car_event_key *key);

struct car_event *car_event_ref(struct car_event *event);

/* Drops the reference and nulls the pointer; NULL inside is allowed. */
void car_event_unref(struct car_event **event);

/* The event's JSON text; of a sealed event. Lives as long as the event, as the other spans do. */
struct car_span car_event_json(const struct car_event *event);

/* The id's CAR_UUID_TEXT characters; of a sealed event. */
struct car_span car_event_id(const struct car_event *event);

struct car_span car_event_type(const struct car_event *event);

#endif
