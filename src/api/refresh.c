#include "refresh.h"

#include "carillon/api/api.h"
#include "carillon/base/err.h"
#include "carillon/guard/auth.h"
#include "carillon/guard/lease.h"
#include "carillon/proto/json.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "command.h"
#include "join.h"
#include "rate.h"
#include "respond.h"

/* Whose the token is. A wrong one is a guess, and costs; a good one passes whatever others have guessed from there, for
 * no limit ends a connection. */
static int identify(const struct car_subscriber *subscriber, struct car_span token, struct car_identity *out,
                    struct car_refusal *refusal) {
    const struct car_claim claim = {.token = token};
    const char *why = NULL;
    int status = car_auth_claim(&subscriber->api->auth, subscriber->worker->reader, &claim, out, &why);
    if (!status && !(out->scopes & CAR_SCOPE_SUBSCRIBE)) {
        status = 403;
        why = car_auth_lacks(CAR_SCOPE_SUBSCRIBE);
    }
    if (status) {
        struct car_takings takings;
        car_takings_init(&takings);
        if (car_rate_guess(subscriber->api, subscriber->worker, subscriber->client, &takings, refusal) == 0) {
            (void)car_refuse(refusal, car_problem_code(status), NULL, why);
        }
        return CAR_EINVAL;
    }
    return 0;
}

static int renew(struct car_lease *lease, const struct car_identity *who, struct car_refusal *refusal) {
    switch (car_lease_renew(lease, who)) {
    case 0:
        return 0;
    case CAR_ECLOSED:
        return car_refuse(refusal, "unauthorized", NULL, CAR_REVOKED);
    default:
        return car_refuse(refusal, "forbidden", NULL, "the token is another tenant's, or another subject's");
    }
}

static int refresh(const struct car_subscriber *subscriber, struct car_lease *lease, const struct car_json_value *token,
                   struct car_refreshed *out, struct car_refusal *refusal) {
    struct car_buf text = CAR_BUF_INIT;
    struct car_identity who = {0};
    if (!car_lease_is_token(lease)) {
        return car_refuse(refusal, "forbidden", NULL, "this connection was not let in with a JSON Web Token");
    }
    if (token->kind != CAR_JSON_STRING || car_json_string_decode(token->raw, &text) != 0) {
        car_buf_free(&text);
        return car_refuse(refusal, "bad_request", "token", "must be a string");
    }
    int err = identify(subscriber, text.data ? car_buf_view(&text) : CAR_SPAN(""), &who, refusal);
    err = err ? err : renew(lease, &who, refusal);
    if (!err) {
        out->scopes = (uint8_t)who.scopes;
        car_rfc3339_write(who.grant->expires_ms, out->at);
    }
    car_identity_drop(&who);
    car_buf_free(&text);
    return err;
}

int car_refresh(const struct car_subscriber *subscriber, struct car_lease *lease, const struct car_json_value *token,
                struct car_refreshed *out, struct car_refusal *refusal) {
    int err = refresh(subscriber, lease, token, out, refusal);
    if (err) {
        car_audit_refusal(subscriber, "refresh", refusal);
    } else {
        struct car_subscriber now = *subscriber;
        now.name = car_lease_name(lease);
        now.grant = lease->grant;
        car_audit_subscriber(&now, "refresh", CAR_AUDIT_OK, car_span_of(NULL, 0), NULL);
    }
    return err;
}
