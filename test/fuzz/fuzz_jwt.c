#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/guard/jwt.h"
#include "support/jwt_forge.h"
#include "support/jwt_keys.h"

/*
 * The first byte says what the rest is: 'h', 'r' and 'e', a header, a newline and a payload, which are signed as they
 * are by the secret, by RSA and by EC, so that what stands behind the signature is reached; 'p', a PEM text; and else a
 * token.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct jwt_keys keys;
static struct car_jwt strict; /* the same with an audience and an issuer */

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void make_keys(void) {
    static char audience[] = "feed";
    static char issuer[] = "me";
    if (!keys.rsa) {
        jwt_keys_make(&keys);
        strict = keys.jwt;
        strict.audience = audience;
        strict.issuer = issuer;
    }
}

/* What is taken is as the header of jwt.h promises. */
static enum car_jwt_result check_token(const struct car_jwt *jwt, struct car_span token) {
    struct car_jwt_claims claims;
    enum car_jwt_result result = car_jwt_verify(jwt, token, JWT_NOW_MS, &claims);
    struct car_span tenant = car_span_of(claims.tenant, strnlen(claims.tenant, sizeof claims.tenant));
    struct car_span subject = car_span_of(claims.subject, strnlen(claims.subject, sizeof claims.subject));
    if (result != CAR_JWT_GOOD) {
        require(!tenant.len && !subject.len && !claims.scopes && !claims.expires_ms && !claims.tenant_created_ms);
        return result;
    }
    require(token.len <= CAR_JWT_TOKEN_MAX);
    require(car_tenant_id_ok(tenant) && subject.len < sizeof claims.subject && car_subject_ok(subject));
    require(claims.expires_ms > JWT_NOW_MS && claims.expires_ms % 1000 == 0 && !(claims.scopes & ~7u));
    /* And it is made again, and read again. */
    struct car_jwt_order order = {.tenant = tenant,
                                  .subject = subject,
                                  .tenant_created_ms = claims.tenant_created_ms,
                                  .scopes = claims.scopes,
                                  .ttl_s = 60};
    struct car_jwt_claims again;
    struct car_buf ours = CAR_BUF_INIT;
    int64_t expires_ms = 0;
    require(car_jwt_issue(jwt, &order, JWT_NOW_MS, &ours, &expires_ms) == 0);
    require(car_jwt_verify(&strict, car_buf_view(&ours), JWT_NOW_MS, &again) ==
            (jwt == &strict ? CAR_JWT_GOOD : CAR_JWT_AUDIENCE));
    require(car_jwt_verify(&keys.jwt, car_buf_view(&ours), JWT_NOW_MS, &again) == CAR_JWT_GOOD);
    require(strcmp(again.tenant, claims.tenant) == 0 && strcmp(again.subject, claims.subject) == 0);
    require(again.scopes == claims.scopes && again.expires_ms == expires_ms &&
            again.tenant_created_ms == claims.tenant_created_ms);
    car_buf_free(&ours);
    return result;
}

static void check_signed(char kind, struct car_span text) {
    struct car_buf token = CAR_BUF_INIT;
    const char *end = memchr(text.ptr, '\n', text.len);
    struct car_span header = car_span_of(text.ptr, end ? (size_t)(end - text.ptr) : text.len);
    struct car_span payload = car_span_of(text.ptr + header.len + (end ? 1 : 0), text.len - header.len - (end ? 1 : 0));
    if (kind == 'h') {
        jwt_forge_hs256(header, payload, CAR_SPAN(JWT_SECRET), &token);
    } else {
        jwt_forge_signed(header, payload, kind == 'r' ? keys.rsa : keys.ec, &token);
    }
    enum car_jwt_result loose = check_token(&keys.jwt, car_buf_view(&token));
    enum car_jwt_result result = check_token(&strict, car_buf_view(&token));
    require(loose == CAR_JWT_GOOD || result != CAR_JWT_GOOD);
    /* The last character but one of a signature holds no bits that are left over. */
    char *at = token.data + token.len - 2;
    *at = *at == 'A' ? 'B' : 'A';
    require(check_token(&keys.jwt, car_buf_view(&token)) != CAR_JWT_GOOD);
    car_buf_free(&token);
}

static void check_pem(struct car_span pem) {
    struct car_jwt_verifier *verifier = NULL;
    struct car_buf error = CAR_BUF_INIT;
    int err = car_jwt_verifier_of_pem(&verifier, "f", pem, CAR_JWT_OF_KEY, &error);
    require((err == 0) == (verifier != NULL) && (err == 0) == (error.len == 0));
    require(err == 0 || (err == CAR_EINVAL && error.len < 200 && memcmp(error.data, "f:", 2) == 0));
    car_jwt_verifier_free(&verifier);
    car_buf_free(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    make_keys();
    struct car_span text = car_span_of((const char *)data, size);
    struct car_span rest = car_span_of(text.ptr + (size > 0), size - (size > 0));
    char kind = (char)(size ? data[0] : 0);
    if (kind == 'p') {
        check_pem(rest);
    } else if (kind == 'h' || kind == 'r' || (kind == 'e' && memchr(text.ptr, '\n', size))) {
        check_signed(kind, rest);
    } else {
        /* Nobody who has no key makes a token. */
        require(check_token(&keys.jwt, text) != CAR_JWT_GOOD);
    }
    return 0;
}
