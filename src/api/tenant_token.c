#include <jansson.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/jwt.h"
#include "carillon/guard/tokens.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "respond.h"
#include "tenant_one.h"
#include "terms.h"

#define ACT         "token_issue"
#define TTL_DEFAULT 3600 /* s */
#define TTL_MAX     86400

static const char *const MEMBERS[] = {"sub", "scopes", "ttl_s", NULL};

static int wrong(struct car_terms_refusal *refusal, const char *field, const char *message) {
    *refusal = (struct car_terms_refusal){.status = 422, .error = {field, message}};
    return CAR_EINVAL;
}

static int read_subject(const json_t *document, struct car_jwt_order *order, struct car_terms_refusal *refusal) {
    const json_t *sub = json_object_get(document, "sub");
    order->subject = car_span_of(json_string_value(sub), json_string_length(sub));
    if (sub && (!json_is_string(sub) || order->subject.len == 0 || !car_subject_ok(order->subject))) {
        return wrong(refusal, "sub", "must be 1 to 128 bytes of text without control characters");
    }
    return 0;
}

static int read_scopes(const json_t *document, struct car_jwt_order *order, struct car_terms_refusal *refusal) {
    static const char RULE[] = "must be an array of at least one of publish, subscribe and admin";
    const json_t *scopes = json_object_get(document, "scopes");
    size_t count = json_array_size(scopes);
    if (!scopes) {
        return 0;
    }
    order->scopes = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_array_get(scopes, i);
        unsigned scope = car_scope_of(car_span_of(json_string_value(name), json_string_length(name)));
        if (!scope) {
            return wrong(refusal, "scopes", RULE);
        }
        order->scopes |= scope;
    }
    return count ? 0 : wrong(refusal, "scopes", RULE);
}

static int read_ttl(const json_t *document, struct car_jwt_order *order, struct car_terms_refusal *refusal) {
    const json_t *ttl = json_object_get(document, "ttl_s");
    json_int_t seconds = ttl ? json_integer_value(ttl) : TTL_DEFAULT; /* 0 of what is no integer */
    if (seconds < 1 || seconds > TTL_MAX) {
        return wrong(refusal, "ttl_s", "must be a whole number from 1 to 86400");
    }
    order->ttl_s = (uint32_t)seconds;
    return 0;
}

static void refuse(struct car_call *call, int status, const char *why) {
    car_audit_call(call, ACT, CAR_AUDIT_REFUSED, status, why);
    car_respond_problem(call->exchange, status, why, NULL, NULL);
}

static void issue(struct car_call *call, const struct car_jwt_order *order) {
    struct car_buf token = CAR_BUF_INIT;
    int64_t expires_ms = 0;
    char at[CAR_RFC3339_LEN];
    int err =
        car_tokens_issue(call->api->auth.tokens, call->worker->reader, order, car_clock_wall_ms(), &token, &expires_ms);
    car_audit_act(call->api, call->exchange, &call->who, ACT, err ? 503 : 200, order->tenant, order->subject);
    if (err) {
        car_respond_problem(call->exchange, 503, "the token could not be made", NULL, NULL);
    } else {
        car_rfc3339_write(expires_ms, at);
        car_respond_json(
            call->exchange, 200,
            json_pack("{s:s%,s:s%}", "token", token.data, token.len, "expires_at", at, (size_t)CAR_RFC3339_LEN));
    }
    car_buf_free(&token);
}

/* Nobody gives away what they do not have. A token orders none at all: it would never end. */
static void order(struct car_call *call, struct car_tenant *tenant, const json_t *document) {
    bool admin = !call->who.tenant;
    struct car_terms_refusal refusal;
    struct car_jwt_order order = {
        .tenant = car_tenant_id(tenant),
        .tenant_created_ms = car_tenant_created_ms(tenant),
        .scopes = admin ? CAR_SCOPE_PUBLISH | CAR_SCOPE_SUBSCRIBE : call->who.scopes,
    };
    int err = read_subject(document, &order, &refusal);
    err = err ? err : read_scopes(document, &order, &refusal);
    err = err ? err : read_ttl(document, &order, &refusal);
    if (err) {
        car_audit_act_refused(call, refusal.status, "the order breaks a rule", &refusal.error);
    } else if (!admin && (order.scopes & ~call->who.scopes)) {
        refuse(call, 403, "the credential does not have all of these scopes itself");
    } else {
        issue(call, &order);
    }
}

void car_tenant_token(struct car_call *call) {
    struct car_terms_refusal refusal;
    call->act = ACT;
    if (call->api->auth.mode != CAR_AUTH_KEY) {
        car_audit_act_refused(call, 409, "tokens are for --auth key", NULL);
        return;
    }
    if (car_grant_is_token(call->who.grant)) {
        refuse(call, 403, "a token orders no tokens: show an API key");
        return;
    }
    struct car_tenant *tenant = car_tenant_asked(call);
    json_t *document = tenant ? car_terms_body(call->req->body, MEMBERS, &refusal) : NULL;
    if (document) {
        order(call, tenant, document);
    } else if (tenant) {
        car_audit_act_refused(call, refusal.status, "the order breaks a rule", &refusal.error);
    }
    json_decref(document);
}
