#include "carillon/guard/auth.h"

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/jwt.h"
#include "carillon/guard/keys.h"
#include "carillon/guard/tokens.h"
#include "carillon/guard/users.h"
#include "carillon/proto/http.h"

static int by_name(const struct car_auth *auth, struct car_reader *reader, const struct car_claim *claim,
                   struct car_identity *out, const char **why) {
    if (!claim->tenant.ptr) {
        *why = "no tenant is named: send X-Tenant-ID, or the tenant parameter";
        return 401;
    }
    struct car_tenant *tenant = car_registry_find(auth->registry, reader, claim->tenant);
    if (!tenant && auth->auto_tenants && car_tenant_id_ok(claim->tenant)) {
        int err = car_registry_add(auth->registry, reader, claim->tenant, &tenant);
        if (err && err != CAR_EEXIST) {
            *why = "unknown tenant, and there is no room for another";
            return 401;
        }
    }
    if (!tenant) {
        *why = "unknown tenant";
        return 401;
    }
    *out = (struct car_identity){.tenant = tenant, .scopes = CAR_SCOPES_ALL};
    return 0;
}

/* What the credential says stands; what is named beside it has to be the same. Takes the reference over. */
static int of_grant(struct car_grant *grant, const struct car_claim *claim, struct car_identity *out,
                    const char **why) {
    if (car_tenant_is_removed(grant->tenant)) {
        car_grant_unref(&grant);
        *why = "unknown tenant";
        return 401;
    }
    if (claim->tenant.ptr && !car_span_eq(claim->tenant, car_tenant_id(grant->tenant))) {
        car_grant_unref(&grant);
        *why = "the credential is of another tenant";
        return 403;
    }
    *out = (struct car_identity){.tenant = grant->tenant, .grant = grant, .scopes = grant->scopes};
    return 0;
}

static int by_token(const struct car_auth *auth, struct car_reader *reader, const struct car_claim *claim,
                    struct car_identity *out, const char **why) {
    struct car_grant *grant = claim->token.ptr ? car_users_find(auth->users, reader, claim->token) : NULL;
    if (!grant) {
        *why = claim->token.ptr ? "the user's token is not known"
                                : "no user's token is shown: send X-User-Token, or the token parameter";
        return 401;
    }
    return of_grant(grant, claim, out, why);
}

static bool is_admin(const struct car_auth *auth, struct car_span bearer) {
    uint8_t digest[sizeof auth->admin];
    if (!bearer.ptr || !auth->has_admin) {
        return false;
    }
    car_sha256(bearer.ptr, bearer.len, digest);
    return car_secret_eq(digest, auth->admin, sizeof digest);
}

/* What a JSON Web Token stands for. 0 and a reference; else the status, and why. */
static int read_jwt(const struct car_auth *auth, struct car_reader *reader, struct car_span token,
                    struct car_grant **out, const char **why) {
    int status = 401;
    if (auth->tokens) {
        status = car_tokens_find(auth->tokens, reader, token, out, why);
    } else {
        *why = car_jwt_reason(CAR_JWT_ALGORITHM);
    }
    if (status == 401 && is_admin(auth, token)) {
        *why = "the administrator's key is of no tenant";
    }
    return status;
}

static int by_key(const struct car_auth *auth, struct car_reader *reader, const struct car_claim *claim,
                  struct car_identity *out, const char **why) {
    struct car_span token = claim->bearer.ptr ? claim->bearer : claim->token;
    struct car_grant *grant = NULL;
    if (token.ptr && (claim->key.ptr || (claim->token.ptr && !car_span_eq(token, claim->token)))) {
        *why = "more than one credential is shown";
        return 400;
    }
    int status = 401;
    if (token.ptr) {
        status = read_jwt(auth, reader, token, &grant, why);
    } else if (claim->key.ptr) {
        grant = car_keys_find(auth->keys, reader, claim->key);
        *why = "the API key is not known";
    } else {
        *why = "no credential is shown: send X-API-Key, or Authorization: Bearer with a token";
    }
    return grant ? of_grant(grant, claim, out, why) : status;
}

typedef int read_claim(const struct car_auth *auth, struct car_reader *reader, const struct car_claim *claim,
                       struct car_identity *out, const char **why);

int car_auth_claim(const struct car_auth *auth, struct car_reader *reader, const struct car_claim *claim,
                   struct car_identity *out, const char **why) {
    *out = (struct car_identity){0};
    static read_claim *const READ[] = {
        [CAR_AUTH_UNSET] = by_name, [CAR_AUTH_OPEN] = by_name, [CAR_AUTH_TOKEN] = by_token, [CAR_AUTH_KEY] = by_key};
    return READ[auth->mode](auth, reader, claim, out, why);
}

int car_auth_request(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                     struct car_identity *out, const char **why) {
    struct car_claim claim;
    struct car_claim_texts texts;
    *out = (struct car_identity){0};
    int status = car_claim_read(req, auth->mode != CAR_AUTH_OPEN, &claim, &texts, why);
    status = status ? status : car_auth_claim(auth, reader, &claim, out, why);
    car_claim_free(&texts);
    return status;
}

int car_auth_admin(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                   struct car_span tenant, unsigned scopes, struct car_identity *out, const char **why) {
    struct car_claim claim;
    struct car_claim_texts texts;
    *out = (struct car_identity){0};
    int status = car_claim_read(req, true, &claim, &texts, why);
    if (!status && !auth->admin_open && !is_admin(auth, claim.bearer)) {
        status = auth->mode == CAR_AUTH_OPEN ? 401 : car_auth_claim(auth, reader, &claim, out, why);
        if (auth->mode == CAR_AUTH_OPEN) {
            *why = "the administrator's key is wanted: send Authorization: Bearer";
        } else if (!status &&
                   (!tenant.ptr || !car_span_eq(tenant, car_tenant_id(out->tenant)) || !(out->scopes & scopes))) {
            car_identity_drop(out);
            *out = (struct car_identity){0};
            *why = "only the administrator may do that";
            status = 403;
        } else if (status == 401 && claim.bearer.len && !memchr(claim.bearer.ptr, '.', claim.bearer.len)) {
            *why = "the administrator's key is wrong"; /* for a token it cannot have been meant */
        }
    }
    car_claim_free(&texts);
    return status;
}

const char *car_auth_lacks(unsigned scope) {
    return scope & CAR_SCOPE_PUBLISH ? "the credential may not publish" : "the credential may not subscribe";
}

int car_auth_request_for(const struct car_auth *auth, struct car_reader *reader, const struct car_http_request *req,
                         unsigned scopes, struct car_identity *out, const char **why) {
    int status = car_auth_request(auth, reader, req, out, why);
    if (!status && !(out->scopes & scopes)) {
        car_identity_drop(out);
        *out = (struct car_identity){0};
        *why = car_auth_lacks(scopes);
        status = 403;
    }
    return status;
}
