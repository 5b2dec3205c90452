#ifndef CARILLON_GUARD_GRANT_H
#define CARILLON_GUARD_GRANT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/feed/account.h"
#include "carillon/guard/signer.h"

struct car_tenant;

/* What a credential allows. */
enum car_scope {
    CAR_SCOPE_PUBLISH = 1,
    CAR_SCOPE_SUBSCRIBE = 2,
    CAR_SCOPE_ADMIN = 4,
};

#define CAR_SCOPES_ALL (CAR_SCOPE_PUBLISH | CAR_SCOPE_SUBSCRIBE | CAR_SCOPE_ADMIN)

#define CAR_SUBJECT_MAX 128 /* bytes */

/*
 * What a credential stands for. Counted by reference: whoever keeps credentials has one, and so has each connection
 * that was let in with it; the last one frees it. Read by any thread; nothing changes but `ended`, which whoever
 * revokes the credential turns on, once.
 */
struct car_grant {
    atomic_uint refs;
    atomic_bool ended; /* nobody is let in with it any more, and who is in has to leave */
    unsigned scopes;   /* CAR_SCOPE_… */
    struct car_tenant *tenant;
    struct car_signer *signer; /* the key of a JSON Web Token, a reference: once that is gone it is as if the grant had
                                  ended; NULL of all else. Set before anybody else sees the grant */
    int64_t expires_ms; /* wall clock: from then on as if it had ended; 0: never. Of a JSON Web Token alone, and never 0
                           there. Set before anybody else sees the grant */
    char key_id[CAR_ACCOUNT_KID_LEN +
                1]; /* of the API key that it is of (car_grant_new_of_key); empty where it is of none */
    size_t subject_len;
    char subject[]; /* who it is, NUL-terminated; empty where it is nobody by name */
};

/* A grant with one reference, the caller's. `subject` is 0 to CAR_SUBJECT_MAX bytes, and copied. NULL without memory.
 */
struct car_grant *car_grant_new(struct car_tenant *tenant, struct car_span subject, unsigned scopes);

/* The same for an API key, by whose id its holder is told apart, and which gives them no name. */
struct car_grant *car_grant_new_of_key(struct car_tenant *tenant, const char *key_id, unsigned scopes);

static inline struct car_grant *car_grant_ref(struct car_grant *grant) {
    if (grant) {
        atomic_fetch_add_explicit(&grant->refs, 1, memory_order_relaxed);
    }
    return grant;
}

/* Drops a reference and nulls the pointer; NULL inside is allowed. */
void car_grant_unref(struct car_grant **grant);

/* Whether both allow the same to the same. */
bool car_grant_same(const struct car_grant *a, const struct car_grant *b);

static inline struct car_span car_grant_subject(const struct car_grant *grant) {
    return grant && grant->subject_len ? car_span_of(grant->subject, grant->subject_len) : car_span_of(NULL, 0);
}

static inline bool car_grant_ended(const struct car_grant *grant) {
    return grant && (atomic_load_explicit(&grant->ended, memory_order_acquire) || car_signer_is_gone(grant->signer));
}

/* Whether its time is up, as of `now_ms` (wall clock). */
static inline bool car_grant_expired(const struct car_grant *grant, int64_t now_ms) {
    return grant && grant->expires_ms && now_ms >= grant->expires_ms;
}

/* Whether it stands for a JSON Web Token. */
static inline bool car_grant_is_token(const struct car_grant *grant) {
    return grant && grant->expires_ms;
}

/* Whether somebody may be called so: 0 to CAR_SUBJECT_MAX bytes of UTF-8 without control characters. */
bool car_subject_ok(struct car_span subject);

/* The bit of a scope's name; 0 where it is none. */
unsigned car_scope_of(struct car_span name);

/* The name of a scope's bit, static; absent where it is none. */
struct car_span car_scope_name(unsigned scope);

#endif
