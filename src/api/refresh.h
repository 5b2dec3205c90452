#ifndef CARILLON_API_REFRESH_H
#define CARILLON_API_REFRESH_H

#include <stdint.h>

#include "carillon/base/clock.h"

struct car_json_value;
struct car_lease;
struct car_refusal;
struct car_subscriber;

/* What a connection has from now on. */
struct car_refreshed {
    uint8_t scopes;           /* CAR_SCOPE_… */
    char at[CAR_RFC3339_LEN]; /* until when */
};

/*
 * A connection that was let in with a JSON Web Token shows the next one, a string, before the first has expired: of the
 * same tenant and subject, and with the scope `subscribe`, for it goes on to subscribe. 0 and *out, and the lease is on
 * the new one; or CAR_EINVAL and *refusal, and all is as it was. The audit log is told. `subscriber`'s name and
 * grant are gone with the former token. On the worker's thread.
 */
int car_refresh(const struct car_subscriber *subscriber, struct car_lease *lease, const struct car_json_value *token,
                struct car_refreshed *out, struct car_refusal *refusal);

#endif
