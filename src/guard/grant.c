#include "carillon/guard/grant.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/utf8.h"

static const struct {
    struct car_span name;
    unsigned scope;
} NAMES[] = {
    {CAR_SPAN_INIT("publish"), CAR_SCOPE_PUBLISH},
    {CAR_SPAN_INIT("subscribe"), CAR_SCOPE_SUBSCRIBE},
    {CAR_SPAN_INIT("admin"), CAR_SCOPE_ADMIN},
};

struct car_grant *car_grant_new(struct car_tenant *tenant, struct car_span subject, unsigned scopes) {
    assert(subject.len <= CAR_SUBJECT_MAX);
    struct car_grant *grant = calloc(1, sizeof *grant + subject.len + 1);
    if (!grant) {
        return NULL;
    }
    atomic_init(&grant->refs, 1);
    grant->tenant = tenant;
    grant->scopes = scopes;
    grant->subject_len = subject.len;
    if (subject.len) {
        memcpy(grant->subject, subject.ptr, subject.len);
    }
    return grant;
}

struct car_grant *car_grant_new_of_key(struct car_tenant *tenant, const char *key_id, unsigned scopes) {
    struct car_grant *grant = car_grant_new(tenant, car_span_of(NULL, 0), scopes);
    if (grant) {
        (void)snprintf(grant->key_id, sizeof grant->key_id, "%s", key_id);
    }
    return grant;
}

void car_grant_unref(struct car_grant **grant) {
    struct car_grant *g = *grant;
    *grant = NULL;
    if (g && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1) {
        car_signer_unref(&g->signer);
        free(g);
    }
}

bool car_grant_same(const struct car_grant *a, const struct car_grant *b) {
    return a->tenant == b->tenant && a->scopes == b->scopes && a->expires_ms == b->expires_ms &&
           car_span_eq(car_grant_subject(a), car_grant_subject(b));
}

bool car_subject_ok(struct car_span subject) {
    for (size_t i = 0; i < subject.len; i++) {
        unsigned char c = (unsigned char)subject.ptr[i];
        if (c < ' ' || c == 0x7F) {
            return false;
        }
    }
    return subject.len <= CAR_SUBJECT_MAX && car_utf8_valid(subject.ptr, subject.len);
}

unsigned car_scope_of(struct car_span name) {
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (car_span_eq(NAMES[i].name, name)) {
            return NAMES[i].scope;
        }
    }
    return 0;
}

struct car_span car_scope_name(unsigned scope) {
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (NAMES[i].scope == scope) {
            return NAMES[i].name;
        }
    }
    return car_span_of(NULL, 0);
}
