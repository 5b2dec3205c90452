#include "carillon/guard/tokens.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/account.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/grant.h"
#include "carillon/guard/jwt.h"
#include "carillon/guard/signer.h"
#include "carillon/runtime/reclaim.h"

struct token_set {
    struct car_retired retired; /* first */
    struct car_jwt jwt;
};

struct car_tokens {
    struct car_registry *registry;
    _Atomic(struct token_set *) set; /* never NULL */
};

static void free_set(struct token_set *set) {
    car_jwt_free(&set->jwt);
    free(set);
}

static void free_retired(struct car_retired *retired) {
    free_set((struct token_set *)retired); /* its first member */
}

struct car_tokens *car_tokens_new(struct car_registry *registry) {
    struct car_tokens *tokens = calloc(1, sizeof *tokens);
    struct token_set *none = calloc(1, sizeof *none);
    if (!tokens || !none) {
        free(tokens);
        free(none);
        return NULL;
    }
    tokens->registry = registry;
    atomic_init(&tokens->set, none);
    return tokens;
}

void car_tokens_free(struct car_tokens **tokens) {
    if (*tokens) {
        free_set(atomic_load(&(*tokens)->set));
        free(*tokens);
        *tokens = NULL;
    }
}

int car_tokens_load(struct car_tokens *tokens, struct car_reader *reader, const struct car_config *config,
                    size_t *ended, struct car_buf *error) {
    struct token_set *old = atomic_load_explicit(&tokens->set, memory_order_relaxed);
    struct token_set *set = calloc(1, sizeof *set);
    if (!set) {
        car_buf_printf(error, "the keys of tokens: %s", car_strerror(CAR_ENOMEM));
        return CAR_ENOMEM;
    }
    int err = car_jwt_load(config, &old->jwt, &set->jwt, error);
    if (err) {
        free(set);
        return err;
    }
    *ended = car_jwt_end_missing(&old->jwt, &set->jwt);
    atomic_store_explicit(&tokens->set, set, memory_order_release);
    car_reader_retire(reader, &old->retired, free_retired);
    return 0;
}

size_t car_tokens_count(const struct car_tokens *tokens) {
    return atomic_load_explicit(&tokens->set, memory_order_relaxed)->jwt.count;
}

/* The set as it is now, for as long as the reader's section lasts. */
static const struct car_jwt *now(const struct car_tokens *tokens) {
    return &atomic_load_explicit(&tokens->set, memory_order_acquire)->jwt;
}

/* The grant of what a good token says. */
static int grant_of(const struct car_tokens *tokens, struct car_reader *reader, const struct car_jwt_claims *claims,
                    struct car_grant **out, const char **why) {
    struct car_tenant *tenant = car_registry_find(tokens->registry, reader, car_span_cstr(claims->tenant));
    if (!tenant || (claims->tenant_created_ms && claims->tenant_created_ms != car_tenant_created_ms(tenant))) {
        *why = "the token's tenant is not known";
        return 401;
    }
    *out = car_grant_new(tenant, car_span_cstr(claims->subject), claims->scopes);
    if (!*out) {
        *why = car_jwt_reason(CAR_JWT_NOMEM);
        return 503;
    }
    (*out)->expires_ms = claims->expires_ms;
    (*out)->signer = car_signer_ref(claims->signer);
    return 0;
}

int car_tokens_find(struct car_tokens *tokens, struct car_reader *reader, struct car_span token, struct car_grant **out,
                    const char **why) {
    struct car_jwt_claims claims;
    int status;
    *out = NULL;
    car_reader_enter(reader);
    enum car_jwt_result result = car_jwt_verify(now(tokens), token, car_clock_wall_ms(), &claims);
    if (result == CAR_JWT_GOOD) {
        status = grant_of(tokens, reader, &claims, out, why);
    } else {
        *why = car_jwt_reason(result);
        status = result == CAR_JWT_NOMEM ? 503 : 401;
    }
    car_reader_leave(reader);
    return status;
}

int car_tokens_issue(struct car_tokens *tokens, struct car_reader *reader, const struct car_jwt_order *order,
                     int64_t now_ms, struct car_buf *out, int64_t *expires_ms) {
    car_reader_enter(reader);
    int err = car_jwt_issue(now(tokens), order, now_ms, out, expires_ms);
    car_reader_leave(reader);
    return err;
}
