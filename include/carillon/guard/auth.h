#ifndef CARILLON_GUARD_AUTH_H
#define CARILLON_GUARD_AUTH_H

#include <stdbool.h>

#include "carillon/base/span.h"

struct car_http_request;
struct car_reader;
struct car_registry;
struct car_tenant;

/* What a credential allows. */
enum car_scope {
    CAR_SCOPE_PUBLISH = 1,
    CAR_SCOPE_SUBSCRIBE = 2,
    CAR_SCOPE_ADMIN = 4,
};

/* Whose a request is. */
struct car_identity {
    struct car_tenant *tenant;
    struct car_span subject; /* the user's name; absent where the mode knows none */
    unsigned scopes;         /* CAR_SCOPE_… */
    bool named;              /* the request says whose it is, rightly or not */
};

/* How credentials are read. Never changes while workers run. */
struct car_auth {
    struct car_registry *registry;
    bool auto_tenants; /* an id that is nobody's yet makes a tenant */
};

/*
 * Finds out whose the request is, in `open` mode: the tenant named by the X-Tenant-ID header or the `tenant` parameter,
 * nothing else. 0 and *out; or the status to refuse it with, and a static reason: 400 (named twice, or the parameter is
 * malformed), 401 (not named, or not known and not to be made), 403 (header and parameter differ). Any thread with a
 * reader.
 */
int car_auth_open(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                  struct car_identity *out, const char **why);

/* The same for a tenant that is named elsewhere than in the request's head: 0 and *out, or 401. */
int car_auth_tenant(const struct car_auth *auth, struct car_reader *reader, struct car_span id,
                    struct car_identity *out, const char **why);

#endif
