#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "carillon/base/base64url.h"
#include "carillon/base/err.h"
#include "carillon/proto/json.h"

#include "jwt_internal.h"

static const char HEADER[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

static void put_text(struct car_buf *json, const char *name, struct car_span text) {
    car_buf_printf(json, ",\"%s\":", name);
    car_json_write_string(json, text);
}

/* The payload, as JSON. */
static void put_claims(const struct car_jwt *jwt, const struct car_jwt_order *order, int64_t now_s,
                       struct car_buf *json) {
    car_buf_printf(json, "{\"iat\":%" PRId64 ",\"exp\":%" PRId64, now_s, now_s + order->ttl_s);
    put_text(json, "tenant", order->tenant);
    if (order->tenant_created_ms) {
        car_buf_printf(json, ",\"tenant_created\":%" PRId64, order->tenant_created_ms);
    }
    if (order->subject.len) {
        put_text(json, "sub", order->subject);
    }
    CAR_BUF_LIT(json, ",\"scopes\":[");
    const char *comma = "";
    for (unsigned scope = 1; scope <= CAR_SCOPES_ALL; scope <<= 1) {
        if (order->scopes & scope) {
            car_buf_span(json, car_span_cstr(comma));
            car_json_write_string(json, car_scope_name(scope));
            comma = ",";
        }
    }
    CAR_BUF_LIT(json, "]");
    if (jwt->audience) {
        put_text(json, "aud", car_span_cstr(jwt->audience));
    }
    if (jwt->issuer) {
        put_text(json, "iss", car_span_cstr(jwt->issuer));
    }
    CAR_BUF_LIT(json, "}");
}

static void put_part(struct car_buf *out, const void *bytes, size_t len) {
    size_t digits = (4 * len + 2) / 3;
    if (car_buf_reserve(out, digits) == 0) {
        car_base64url_write(bytes, len, out->data + out->len);
        out->len += digits;
    }
}

/* RFC 7515, appendix A.1. Not libjwt's, which 1.10 ends the process in where there is no memory. */
static int sign(const struct car_jwt_verifier *secret, const struct car_buf *json, struct car_buf *out) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    size_t before = out->len;
    put_part(out, HEADER, sizeof HEADER - 1);
    car_buf_char(out, '.');
    put_part(out, json->data, json->len);
    bool good = !out->failed && HMAC(EVP_sha256(), secret->key, (int)secret->len, (unsigned char *)out->data + before,
                                     out->len - before, mac, &mac_len);
    car_buf_char(out, '.');
    put_part(out, mac, mac_len);
    if (!good || out->failed) {
        ERR_clear_error();
        out->len = before;
        return CAR_ENOMEM;
    }
    return 0;
}

static const struct car_jwt_verifier *secret_of(const struct car_jwt *jwt) {
    for (size_t i = 0; i < jwt->count; i++) {
        if (jwt->verifiers[i]->algorithm == JWT_ALG_HS256) {
            return jwt->verifiers[i];
        }
    }
    return NULL;
}

int car_jwt_issue(const struct car_jwt *jwt, const struct car_jwt_order *order, int64_t now_ms, struct car_buf *out,
                  int64_t *expires_ms) {
    const struct car_jwt_verifier *secret = secret_of(jwt);
    if (!secret) {
        return CAR_ENOENT;
    }
    if (!car_tenant_id_ok(order->tenant) || !car_subject_ok(order->subject) ||
        (order->scopes & ~(unsigned)CAR_SCOPES_ALL) || order->ttl_s == 0 || order->tenant_created_ms < 0 ||
        now_ms < 0 || now_ms / 1000 > CAR_JWT_DATE_MAX - order->ttl_s) {
        return CAR_EINVAL;
    }
    struct car_buf json = CAR_BUF_INIT;
    put_claims(jwt, order, now_ms / 1000, &json);
    int err = json.failed ? CAR_ENOMEM : sign(secret, &json, out);
    car_buf_free(&json);
    if (!err) {
        *expires_ms = (now_ms / 1000 + order->ttl_s) * 1000;
    }
    return err;
}
