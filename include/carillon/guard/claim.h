#ifndef CARILLON_GUARD_CLAIM_H
#define CARILLON_GUARD_CLAIM_H

#include <stdbool.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

struct car_http_request;

/* Whose a request says it is, and what it shows for that: one text each, absent where it shows none. Borrowed. */
struct car_claim {
    struct car_span tenant; /* X-Tenant-ID, or the `tenant` parameter */
    struct car_span token;  /* X-User-Token, or the `token` parameter */
    struct car_span key;    /* X-API-Key, or the `api_key` parameter */
    struct car_span bearer; /* of Authorization (RFC 6750, section 2.1) */
};

/* What a claim's texts may point to. */
struct car_claim_texts {
    struct car_buf tenant, token, key;
};

/* Reads it from a request's head; without `credentials` the tenant alone, and the rest is passed by. The texts are the
 * request's, or in *texts, whose end is car_claim_free. 0; or the status to refuse it with, and a static reason: 400
 * where something is given more than once, or malformed; 403 where header and parameter name different tenants; 503
 * where memory ran out. *texts is to be freed in any case. */
int car_claim_read(const struct car_http_request *req, bool credentials, struct car_claim *claim,
                   struct car_claim_texts *texts, const char **why);

void car_claim_free(struct car_claim_texts *texts);

#endif
