#ifndef CARILLON_API_SIO_CLAIM_H
#define CARILLON_API_SIO_CLAIM_H

#include "carillon/base/buf.h"
#include "carillon/base/span.h"
#include "carillon/guard/auth.h"

struct car_json_member;
struct car_json_value;
struct car_refusal;
struct car_sio;

/* As many names has a tenant in what a client sends: `tenant` and `tenantId`. */
#define CAR_SIO_TENANT_NAMES 2

/* What a client sends along that asks for a namespace, as far as it says whose it is. Borrowed. */
struct car_sio_shown {
    struct car_span query; /* the namespace's; may be empty */
    const struct car_json_member *tenant;
    const struct car_json_value *token, *key;
};

/* That, read; and whose it is by that, or, where it shows nothing, by what the handshake has shown. On the stack of who
 * connects the namespace; zeroed to begin with, freed by car_sio_claim_free. */
struct car_sio_claim {
    struct car_buf tenant, token, key; /* as it names and shows them; empty where it does not */
    struct car_identity who;           /* may be a tenant's, as far as it is known, where it was refused */
};

/* Reads it, and finds out whose it is: one who may subscribe, and to the tenant that is the connection's. 0; or
 * CAR_EINVAL and *refusal. Each credential that is no good costs a unit of the address's limit for guesses, and one
 * that is beyond that is not looked at. On the client's worker. */
int car_sio_claim_check(struct car_sio_claim *claim, const struct car_sio *sio, const struct car_sio_shown *shown,
                        struct car_refusal *refusal);

/* As the guard and the audit log have it. Borrowed. */
struct car_claim car_sio_claim_view(const struct car_sio_claim *claim);

void car_sio_claim_free(struct car_sio_claim *claim);

#endif
