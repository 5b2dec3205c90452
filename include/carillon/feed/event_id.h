#ifndef CARILLON_FEED_EVENT_ID_H
#define CARILLON_FEED_EVENT_ID_H

#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/base/uuid.h"

/* The largest seq that an id can hold. */
#define CAR_EVENT_SEQ_MAX ((UINT64_C(1) << 44) - 1)

/*
 * An event's id: a version 4 UUID, random to everybody but its log. Under the log's key it is the event's seq, random
 * bits, and a check on whose event it is. So no index of ids is kept: one of random ids costs a log more than the
 * events themselves.
 */
struct car_event_key {
    uint64_t rounds[2], check[2]; /* secret */
};

/* A new id for the tenant's event of that seq, 1 to CAR_EVENT_SEQ_MAX. `salt` tells tenants of one name apart
 * (car_tenant_salt). */
void car_event_id_make(const struct car_event_key *key, struct car_span tenant, int64_t salt, uint64_t seq,
                       struct car_uuid *out);

/* The seq in an id that was made under that key for that tenant; 0 for any other (but one in 2^40). */
uint64_t car_event_id_seq(const struct car_event_key *key, struct car_span tenant, int64_t salt,
                          const struct car_uuid *id);

#endif
