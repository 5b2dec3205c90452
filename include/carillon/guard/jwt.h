#ifndef CARILLON_GUARD_JWT_H
#define CARILLON_GUARD_JWT_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/config.h"
#include "carillon/base/span.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/grant.h"

struct car_signer;

/*
 * JSON Web Tokens (RFC 7519) in their compact form (RFC 7515, section 7.1): HS256, RS256 and ES256 (RFC 7518, section
 * 3.1), with RFC 8725 in mind. libjwt checks signatures. What it passes by is looked at before it sees a token: which
 * algorithm, spelled exactly so; no `crit`; no member twice; not nested deeper than 16; base64url without padding, in
 * the one spelling that the bytes have.
 */

#define CAR_JWT_TOKEN_MAX  8192 /* bytes of a token */
#define CAR_JWT_SECRET_MIN 32   /* bytes of a secret (RFC 7518, section 3.2) */
#define CAR_JWT_SECRET_MAX 4096
#define CAR_JWT_LEEWAY_MS  30000 /* how far a clock that says `nbf` may be ahead; `exp` has no leeway */
#define CAR_JWT_VERIFIERS  4

/* One key, the one algorithm that it is for, and its signer. Never changes once it is among others in a struct car_jwt:
 * any thread may use it. */
struct car_jwt_verifier;

/* HS256 with a secret of CAR_JWT_SECRET_MIN to _MAX bytes, which is copied. 0; CAR_EINVAL where it is shorter, longer,
 * or a PEM text: whoever has a public key must not be able to sign with it; CAR_ENOMEM. */
int car_jwt_verifier_of_secret(struct car_jwt_verifier **out, struct car_span secret);

/*
 * RS256 or ES256 with the one public key that `pem` has ("BEGIN PUBLIC KEY", RFC 7468, section 13): RSA of 2048 bits or
 * more, or EC P-256. The type says which; `wanted`, where it is not CAR_JWT_OF_KEY, has to fit. `name` is the file's,
 * for `error`, which has one line, "name:line: why", and nothing of the file. 0, CAR_EINVAL, CAR_ENOMEM.
 */
int car_jwt_verifier_of_pem(struct car_jwt_verifier **out, const char *name, struct car_span pem,
                            enum car_jwt_algorithm wanted, struct car_buf *error);

/* Wipes the key and nulls the pointer; NULL inside is allowed. */
void car_jwt_verifier_free(struct car_jwt_verifier **verifier);

/*
 * How tokens are read and made. Filled by one thread before others see it, then read by all and changed by none. It
 * owns what it points to. What replaces it while threads run is guard/tokens.h.
 */
struct car_jwt {
    struct car_jwt_verifier
        *verifiers[CAR_JWT_VERIFIERS]; /* those that are for a token's algorithm are tried in turn */
    size_t count;
    char *audience; /* NULL: `aud` is not looked at, whatever it says */
    char *issuer;   /* NULL: `iss` is not looked at */
};

/*
 * What the configuration says: the secret of --jwt-secret-file, a newline at its end dropped, or, without one, that of
 * `former`, or 32 random bytes, whose tokens end with the process; and the key of --jwt-public-key. `former`, which may
 * be NULL or empty, is the one that is to be replaced: a key that it has as well has the same signer in both. Else *out
 * is empty, and `error` says why in one line that begins with the file and, where there is one, the line's number; it
 * has nothing of the file in it. 0, CAR_EINVAL, CAR_ESYS, CAR_ETOOBIG, CAR_ENOMEM. Reads files. *out ends with
 * car_jwt_free.
 */
int car_jwt_load(const struct car_config *config, const struct car_jwt *former, struct car_jwt *out,
                 struct car_buf *error);

/* The signers of `former` that `now` does not have are gone from now on; returns how many. By whoever puts the one in
 * the place of the other. */
size_t car_jwt_end_missing(const struct car_jwt *former, const struct car_jwt *now);

/* No thread uses it any more. Leaves an empty one; an empty one is allowed. */
void car_jwt_free(struct car_jwt *jwt);

enum car_jwt_result {
    CAR_JWT_GOOD,
    CAR_JWT_MALFORMED, /* no token, or one that no reading of the RFCs allows, or too long */
    CAR_JWT_ALGORITHM, /* `alg` is not that of a verifier: the signature was not looked at */
    CAR_JWT_SIGNATURE,
    CAR_JWT_EXPIRED,
    CAR_JWT_EARLY, /* before `nbf` */
    CAR_JWT_AUDIENCE,
    CAR_JWT_ISSUER,
    CAR_JWT_CLAIMS, /* a claim is missing, or not what it has to be */
    CAR_JWT_NOMEM,
};

/* Why a token is refused. Static, and has nothing of a token; never NULL. */
const char *car_jwt_reason(enum car_jwt_result result);

/* What a token says. Texts are NUL-terminated. */
struct car_jwt_claims {
    char tenant[CAR_TENANT_ID_MAX + 1]; /* car_tenant_id_ok; whether there is such a tenant is not looked at */
    char subject[CAR_SUBJECT_MAX + 1];  /* car_subject_ok; empty where the token has none */
    unsigned scopes;                    /* CAR_SCOPE_…; 0 where it has none, which lets in nowhere */
    int64_t expires_ms;                 /* wall clock (car_clock_wall_ms): from then on it is worth nothing */
    int64_t tenant_created_ms; /* which of the tenants that had that id one after the other; 0: it does not say */
    struct car_signer *signer; /* of the key that it is signed with; as long as the struct car_jwt lives */
};

/*
 * Reads a token as of `now_ms` (wall clock): its form, its algorithm, its signature, and then its claims.
 *
 * `exp` has to be there and to lie ahead, `nbf` may be CAR_JWT_LEEWAY_MS ahead; both are seconds from 0 to the end of
 * the year 9999, and a fraction is dropped; `iat` is not looked at. `aud` (a string, or an array of them) has to be or
 * to hold the audience, `iss` to be the issuer, where these are set. `tenant` has to be there, `sub` may be. Scopes are
 * `scopes`, an array of strings or one string with spaces between them, or else `scope`, such a string; names that are
 * not known are passed by. A token that names no scopes has none: what it may do is for its maker to say.
 * `tenant_created` is ours (milliseconds, a whole number from 1 on), and need not be there.
 *
 * `kid`, `jku`, `x5c` and other headers are not looked at; `crit` is refused (RFC 7515, section 4.1.11), and so is a
 * `typ` other than JWT. *out is filled where the token is good, and zero otherwise. Any thread; it costs a few
 * allocations, and for RS256 and ES256 the reading of the key.
 */
enum car_jwt_result car_jwt_verify(const struct car_jwt *jwt, struct car_span token, int64_t now_ms,
                                   struct car_jwt_claims *out);

/* A token that is asked for. Borrowed for the call. Whether whoever asks may have it is the caller's business. */
struct car_jwt_order {
    struct car_span tenant;    /* car_tenant_id_ok */
    struct car_span subject;   /* car_subject_ok; may be empty */
    unsigned scopes;           /* CAR_SCOPE_… */
    int64_t tenant_created_ms; /* 0: the token does not say */
    uint32_t ttl_s;            /* from 1; counted from the second that `now_ms` lies in, so it may be up to 1 s less */
};

/*
 * Appends a token with `tenant`, `tenant_created`, `sub`, `scopes`, `iat` and `exp`, and `aud` and `iss` where they are
 * set, signed (HS256) with the first secret; *expires_ms is its end (wall clock). 0; CAR_EINVAL; CAR_ENOENT without a
 * secret; CAR_ENOMEM; else `out` is as it was. Any thread.
 */
int car_jwt_issue(const struct car_jwt *jwt, const struct car_jwt_order *order, int64_t now_ms, struct car_buf *out,
                  int64_t *expires_ms);

#endif
