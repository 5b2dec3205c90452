#ifndef CARILLON_GUARD_AUTH_H
#define CARILLON_GUARD_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/config.h"
#include "carillon/base/span.h"
#include "carillon/guard/claim.h"
#include "carillon/guard/grant.h"

struct car_http_request;
struct car_keys;
struct car_reader;
struct car_registry;
struct car_tenant;
struct car_tokens;
struct car_users;

/* Whose a request is. Whoever has been given one drops it (car_identity_drop). */
struct car_identity {
    struct car_tenant *tenant;
    struct car_grant *grant; /* what it was let in with, a reference; NULL where a name is enough */
    unsigned scopes;         /* CAR_SCOPE_… */
};

/* How credentials are read. Never changes while workers run; what it points to does. */
struct car_auth {
    enum car_auth_mode mode;
    struct car_registry *registry;
    struct car_users *users;   /* of CAR_AUTH_TOKEN */
    struct car_keys *keys;     /* of CAR_AUTH_KEY */
    struct car_tokens *tokens; /* JSON Web Tokens, of CAR_AUTH_KEY; NULL: none are taken */
    uint8_t admin[32];         /* SHA-256 of the administrator's key; where `has_admin` */
    bool has_admin;
    bool admin_open;   /* who shows no credential is the administrator */
    bool auto_tenants; /* in CAR_AUTH_OPEN an id that is nobody's yet makes a tenant */
};

/* Who it is by name; absent where it is nobody by name. Lives as long as the identity. */
static inline struct car_span car_identity_subject(const struct car_identity *who) {
    return car_grant_subject(who->grant);
}

static inline void car_identity_drop(struct car_identity *who) {
    car_grant_unref(&who->grant);
}

/*
 * Finds out whose a claim makes the request. 0 and *out; or the status to refuse it with, a static reason, and *out is
 * empty: 401 (nothing is shown, or something wrong; or, in `open` mode, the tenant is not known and not to be made),
 * 403 (the credential is of another tenant than the one that is named), 400 (more than one credential is shown), 503
 * (no memory). Any thread with a reader. No lock, but where a tenant is made.
 *
 * Under CAR_AUTH_KEY a credential is an API key, or a JSON Web Token, which is `bearer` or `token`: its grant is made
 * for the call, and ends by itself. A token says whose it is, and nothing keeps it: revoking the key that it was
 * ordered with does not end it; removing its tenant does, and so does a reload that does not find the key that it is
 * signed with any more (guard/tokens.h). Where it says which of the tenants of that id it is for
 * (car_jwt_claims), it is not good for one that was made later.
 */
int car_auth_claim(const struct car_auth *auth, struct car_reader *reader, const struct car_claim *claim,
                   struct car_identity *out, const char **why);

/* The same for what a request's head shows, which may also be refused with 400. */
int car_auth_request(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                     struct car_identity *out, const char **why);

/*
 * Whether the request is the administrator's: it shows their key as a bearer's token, or none is wanted. Or, where a
 * tenant's id is given, whether it shows a credential of that tenant with one of the scopes: then *out is whose it is,
 * else it is empty. 0, or 400, 401, 403, and why. Any thread with a reader.
 */
int car_auth_admin(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                   struct car_span tenant, unsigned scopes, struct car_identity *out, const char **why);

/* The same, where one of the scopes is wanted: 403 where the credential has none of them. */
int car_auth_request_for(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                         unsigned scopes, struct car_identity *out, const char **why);

/* Why a credential without the scope is refused. Static. */
const char *car_auth_lacks(unsigned scope);

#endif
