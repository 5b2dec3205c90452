#include "carillon/guard/jwt.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "carillon/base/base64url.h"
#include "carillon/base/err.h"
#include "carillon/proto/json.h"

#include "jwt_internal.h"

#define DEPTH_MAX 16

/* A token in its parts, none of them empty, and all of one spelling. */
struct parts {
    struct car_span header, payload, signature; /* as they stand in it */
};

const char *car_jwt_reason(enum car_jwt_result result) {
    switch (result) {
    case CAR_JWT_GOOD:
        return "the token is good";
    case CAR_JWT_MALFORMED:
        return "the token is malformed";
    case CAR_JWT_ALGORITHM:
        return "the token's algorithm is not one that is taken here";
    case CAR_JWT_SIGNATURE:
        return "the token's signature is wrong";
    case CAR_JWT_EXPIRED:
        return "the token has expired";
    case CAR_JWT_EARLY:
        return "the token is not valid yet";
    case CAR_JWT_AUDIENCE:
        return "the token is for another audience";
    case CAR_JWT_ISSUER:
        return "the token is of another issuer";
    case CAR_JWT_CLAIMS:
        return "a claim of the token is missing or wrong";
    case CAR_JWT_NOMEM:
        return "out of memory";
    }
    return "the token is refused";
}

/* libjwt cuts at the first two dots, and so do we: a third one is in the signature, where base64url has none. */
static bool split(struct car_span token, struct parts *out) {
    const char *dot = memchr(token.ptr, '.', token.len);
    const char *end = token.ptr + token.len;
    const char *second = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
    if (!second) {
        return false;
    }
    out->header = car_span_of(token.ptr, (size_t)(dot - token.ptr));
    out->payload = car_span_of(dot + 1, (size_t)(second - dot - 1));
    out->signature = car_span_of(second + 1, (size_t)(end - second - 1));
    return out->header.len && out->payload.len && out->signature.len;
}

/* The object that a part stands for. jansson recurses, so how deep the text is comes first; and libjwt reads it as a C
 * string, by jansson, too: there is no NUL in what this lets pass, so both read the same. */
static enum car_jwt_result read_object(struct car_span part, json_t **out) {
    uint8_t text[CAR_JWT_TOKEN_MAX];
    size_t len = 0;
    struct car_json_value whole;
    if (car_base64url_decode(part, text, &len) != 0) {
        return CAR_JWT_MALFORMED;
    }
    int err = car_json_pick(car_span_of((const char *)text, len), NULL, 0, &whole);
    if (err || whole.kind != CAR_JSON_OBJECT || whole.depth > DEPTH_MAX) {
        return err == CAR_ENOMEM ? CAR_JWT_NOMEM : CAR_JWT_MALFORMED;
    }
    json_error_t why;
    *out = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, &why);
    if (!*out) {
        /* Not every allocation that fails in jansson says so, but all that it finds fault with has a code. */
        enum json_error_code code = json_error_code(&why);
        bool no_memory = code == json_error_out_of_memory || code == json_error_unknown;
        return no_memory ? CAR_JWT_NOMEM : CAR_JWT_MALFORMED;
    }
    return CAR_JWT_GOOD;
}

/* The algorithm that the header names; JWT_ALG_NONE where it is none that may be. libjwt takes any case; RFC 7515,
 * section 4.1.1, does not. */
static jwt_alg_t algorithm_of(const json_t *header) {
    static const struct {
        struct car_span name;
        jwt_alg_t algorithm;
    } TAKEN[] = {
        {CAR_SPAN_INIT("HS256"), JWT_ALG_HS256},
        {CAR_SPAN_INIT("RS256"), JWT_ALG_RS256},
        {CAR_SPAN_INIT("ES256"), JWT_ALG_ES256},
    };
    struct car_span name = car_span_cstr(json_string_value(json_object_get(header, "alg")));
    for (size_t i = 0; i < sizeof TAKEN / sizeof *TAKEN; i++) {
        if (car_span_eq(name, TAKEN[i].name)) {
            return TAKEN[i].algorithm;
        }
    }
    return JWT_ALG_NONE;
}

static enum car_jwt_result read_header(struct car_span part, jwt_alg_t *algorithm) {
    json_t *header = NULL;
    enum car_jwt_result result = read_object(part, &header);
    if (result != CAR_JWT_GOOD) {
        return result;
    }
    const json_t *type = json_object_get(header, "typ");
    *algorithm = algorithm_of(header);
    if (*algorithm == JWT_ALG_NONE) {
        result = CAR_JWT_ALGORITHM;
    }
    if (!json_is_string(json_object_get(header, "alg")) || json_object_get(header, "crit") ||
        (type && (!json_is_string(type) || !car_span_ieq(car_span_cstr(json_string_value(type)), CAR_SPAN("JWT"))))) {
        result = CAR_JWT_MALFORMED;
    }
    json_decref(header);
    return result;
}

/* libjwt 1.10 answers with success and an empty token, of algorithm `none`, where it has no memory to copy the key: the
 * algorithm says whether the signature was looked at. */
static enum car_jwt_result check_signature(const struct car_jwt_verifier *verifier, const char *token) {
    jwt_t *decoded = NULL;
    int err = jwt_decode(&decoded, token, verifier->key, (int)verifier->len);
    bool good = err == 0 && decoded && jwt_get_alg(decoded) == verifier->algorithm;
    jwt_free(decoded);
    ERR_clear_error(); /* else the next one on this thread who looks for an error finds this */
    if (good) {
        return CAR_JWT_GOOD;
    }
    return err == 0 || err == ENOMEM ? CAR_JWT_NOMEM : CAR_JWT_SIGNATURE;
}

static enum car_jwt_result try_verifiers(const struct car_jwt *jwt, jwt_alg_t algorithm, struct car_span token,
                                         struct car_signer **signer) {
    char text[CAR_JWT_TOKEN_MAX + 1];
    memcpy(text, token.ptr, token.len);
    text[token.len] = '\0';
    enum car_jwt_result result = CAR_JWT_ALGORITHM;
    for (size_t i = 0; i < jwt->count; i++) {
        if (jwt->verifiers[i]->algorithm != algorithm) {
            continue;
        }
        enum car_jwt_result tried = check_signature(jwt->verifiers[i], text);
        if (tried == CAR_JWT_GOOD) {
            *signer = jwt->verifiers[i]->signer;
            return tried;
        }
        result = result == CAR_JWT_NOMEM ? result : tried;
    }
    return result;
}

/* The signature's own bytes have one spelling, too: else a token could be told as many. */
static bool spelled_once(struct car_span part) {
    uint8_t bytes[CAR_JWT_TOKEN_MAX];
    size_t len;
    return car_base64url_decode(part, bytes, &len) == 0;
}

enum car_jwt_result car_jwt_verify(const struct car_jwt *jwt, struct car_span token, int64_t now_ms,
                                   struct car_jwt_claims *out) {
    struct parts parts;
    jwt_alg_t algorithm = JWT_ALG_NONE;
    json_t *payload = NULL;
    struct car_signer *signer = NULL;
    *out = (struct car_jwt_claims){.scopes = 0};
    if (token.len == 0 || token.len > CAR_JWT_TOKEN_MAX || !split(token, &parts) || !spelled_once(parts.signature)) {
        return CAR_JWT_MALFORMED;
    }
    enum car_jwt_result result = read_header(parts.header, &algorithm);
    if (result == CAR_JWT_GOOD) {
        result = read_object(parts.payload, &payload);
    }
    if (result == CAR_JWT_GOOD) {
        result = try_verifiers(jwt, algorithm, token, &signer);
    }
    if (result == CAR_JWT_GOOD) {
        result = car_jwt_claims_read(jwt, payload, now_ms, out);
        out->signer = signer;
    }
    if (result != CAR_JWT_GOOD) {
        *out = (struct car_jwt_claims){.scopes = 0};
    }
    json_decref(payload);
    return result;
}
