#include <string.h>

#include "jwt_internal.h"

/* The text of a string; absent where it is none. It has no NUL inside: jansson refuses \u0000. */
static struct car_span text_of(const json_t *value) {
    return json_is_string(value) ? car_span_of(json_string_value(value), json_string_length(value))
                                 : car_span_of(NULL, 0);
}

static struct car_span text_at(const json_t *payload, const char *name) {
    return text_of(json_object_get(payload, name));
}

/* Seconds since 1970 (NumericDate; RFC 7519, section 2), a fraction dropped, in milliseconds. */
static bool read_date(const json_t *value, int64_t *ms) {
    int64_t seconds = -1;
    if (json_is_integer(value)) {
        seconds = json_integer_value(value);
    } else if (json_is_real(value)) {
        double real = json_real_value(value);
        seconds = real >= 0 && real < (double)(CAR_JWT_DATE_MAX + 1) ? (int64_t)real : -1;
    }
    if (seconds < 0 || seconds > CAR_JWT_DATE_MAX) {
        return false;
    }
    *ms = seconds * 1000;
    return true;
}

static enum car_jwt_result check_dates(const json_t *payload, int64_t now_ms, int64_t *expires_ms) {
    const json_t *early = json_object_get(payload, "nbf");
    int64_t from_ms = 0;
    if (!read_date(json_object_get(payload, "exp"), expires_ms) || (early && !read_date(early, &from_ms))) {
        return CAR_JWT_CLAIMS;
    }
    if (now_ms >= *expires_ms) {
        return CAR_JWT_EXPIRED;
    }
    return now_ms < from_ms - CAR_JWT_LEEWAY_MS ? CAR_JWT_EARLY : CAR_JWT_GOOD;
}

/* RFC 7519, section 4.1.3: one string, or an array of them. */
static enum car_jwt_result check_audience(const json_t *claim, const char *audience) {
    struct car_span wanted = car_span_cstr(audience);
    if (!audience) {
        return CAR_JWT_GOOD;
    }
    if (claim && !json_is_string(claim) && !json_is_array(claim)) {
        return CAR_JWT_CLAIMS;
    }
    bool found = json_is_string(claim) && car_span_eq(text_of(claim), wanted);
    for (size_t i = 0; i < json_array_size(claim); i++) {
        const json_t *one = json_array_get(claim, i);
        if (!json_is_string(one)) {
            return CAR_JWT_CLAIMS;
        }
        found = found || car_span_eq(text_of(one), wanted);
    }
    return found ? CAR_JWT_GOOD : CAR_JWT_AUDIENCE;
}

static enum car_jwt_result check_issuer(const json_t *claim, const char *issuer) {
    if (!issuer) {
        return CAR_JWT_GOOD;
    }
    if (claim && !json_is_string(claim)) {
        return CAR_JWT_CLAIMS;
    }
    return claim && car_span_eq(text_of(claim), car_span_cstr(issuer)) ? CAR_JWT_GOOD : CAR_JWT_ISSUER;
}

/* Names with spaces between them (RFC 6749, section 3.3). */
static unsigned scopes_of(struct car_span names) {
    unsigned scopes = 0;
    struct car_span name;
    while (car_span_next(&names, ' ', &name)) {
        scopes |= car_scope_of(name);
    }
    return scopes;
}

static bool read_scopes(const json_t *payload, unsigned *out) {
    const json_t *scopes = json_object_get(payload, "scopes");
    const json_t *scope = json_object_get(payload, "scope");
    *out = 0;
    if (!json_is_array(scopes)) {
        const json_t *text = scopes ? scopes : scope;
        *out = scopes_of(text_of(text));
        return !text || json_is_string(text);
    }
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const json_t *name = json_array_get(scopes, i);
        if (!json_is_string(name)) {
            return false;
        }
        *out |= car_scope_of(text_of(name));
    }
    return true;
}

static bool read_who(const json_t *payload, struct car_jwt_claims *out) {
    const json_t *sub = json_object_get(payload, "sub");
    const json_t *created = json_object_get(payload, "tenant_created");
    struct car_span tenant = text_at(payload, "tenant");
    struct car_span subject = text_of(sub);
    out->tenant_created_ms = json_integer_value(created); /* 0 of what is no integer */
    if (!tenant.ptr || !car_tenant_id_ok(tenant) || (created && out->tenant_created_ms < 1) || (sub && !subject.ptr) ||
        !car_subject_ok(subject)) {
        return false;
    }
    memcpy(out->tenant, tenant.ptr, tenant.len);
    if (subject.len) {
        memcpy(out->subject, subject.ptr, subject.len);
    }
    return true;
}

enum car_jwt_result car_jwt_claims_read(const struct car_jwt *jwt, const json_t *payload, int64_t now_ms,
                                        struct car_jwt_claims *out) {
    enum car_jwt_result result = check_dates(payload, now_ms, &out->expires_ms);
    if (result == CAR_JWT_GOOD) {
        result = check_audience(json_object_get(payload, "aud"), jwt->audience);
    }
    if (result == CAR_JWT_GOOD) {
        result = check_issuer(json_object_get(payload, "iss"), jwt->issuer);
    }
    if (result == CAR_JWT_GOOD && (!read_who(payload, out) || !read_scopes(payload, &out->scopes))) {
        result = CAR_JWT_CLAIMS;
    }
    return result;
}
