#include "sio_claim.h"

#include "carillon/api/api.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/grant.h"
#include "carillon/proto/http.h"
#include "carillon/proto/json.h"
#include "carillon/runtime/worker.h"

#include "command.h"
#include "rate.h"
#include "respond.h"
#include "sio.h"

/* Whatever is named more than once is the same. Takes `name` over. */
static int name_once(struct car_buf *id, struct car_buf *name, struct car_refusal *refusal) {
    if (id->len && !car_span_eq(car_buf_view(id), car_buf_view(name))) {
        car_buf_free(name);
        return car_refuse(refusal, "forbidden", NULL, "different tenants are named");
    }
    car_buf_free(id);
    *id = *name;
    return 0;
}

/* The tenant that the payload names, or the namespace's query; 0 and an empty text where they name none. */
static int read_name(struct car_buf *id, const struct car_sio_shown *shown, struct car_refusal *refusal) {
    int err = 0;
    for (size_t i = 0; i < CAR_SIO_TENANT_NAMES && !err; i++) {
        const struct car_json_value *value = &shown->tenant[i].value;
        struct car_buf text = CAR_BUF_INIT;
        if (value->kind == CAR_JSON_STRING && car_json_string_decode(value->raw, &text) == 0) {
            err = name_once(id, &text, refusal);
        } else if (value->kind != CAR_JSON_ABSENT && value->kind != CAR_JSON_NULL) {
            return car_refuse(refusal, "unauthorized", NULL, "the tenant must be a string");
        }
        text = CAR_BUF_INIT;
        if (!err && shown->query.len && car_http_param(shown->query, shown->tenant[i].name, &text) == 0) {
            err = name_once(id, &text, refusal);
        }
    }
    return err;
}

/* A credential in the payload; 0 and an empty text where there is none. */
static int read_credential(struct car_buf *out, const struct car_json_value *value, const char *wrong,
                           struct car_refusal *refusal) {
    if (value->kind == CAR_JSON_ABSENT || value->kind == CAR_JSON_NULL) {
        return 0;
    }
    if (value->kind != CAR_JSON_STRING || car_json_string_decode(value->raw, out) != 0) {
        return car_refuse(refusal, "unauthorized", NULL, wrong);
    }
    return 0;
}

/* Whose it is by what is shown here; or, where nothing is, by what the handshake has shown. */
static int authenticate(const struct car_sio *sio, struct car_claim *claim, struct car_identity *who,
                        const char **why) {
    const struct car_auth *auth = &sio->api->auth;
    bool named = claim->tenant.ptr != NULL;
    bool shows = auth->mode == CAR_AUTH_OPEN ? named && (!sio->asked_named || sio->asked_status == 0)
                                             : claim->token.ptr || (auth->mode == CAR_AUTH_KEY && claim->key.ptr);
    if (!shows) {
        *who = (struct car_identity){.tenant = sio->asked,
                                     .grant = car_grant_ref(sio->asked_grant),
                                     .scopes = sio->asked_grant ? sio->asked_grant->scopes : CAR_SCOPES_ALL};
        *why = sio->asked_why;
        if (!sio->asked_status && named && !car_span_eq(claim->tenant, car_tenant_id(sio->asked))) {
            *why = "the handshake names another tenant";
            return 403;
        }
        return sio->asked_status;
    }
    if (!named && sio->asked_name) {
        claim->tenant = car_span_cstr(sio->asked_name);
    }
    int status = car_auth_claim(auth, sio->eio.worker->reader, claim, who, why);
    if (!status && sio->asked && sio->asked != who->tenant) {
        *why = "the handshake names another tenant";
        return 403;
    }
    return status;
}

struct car_claim car_sio_claim_view(const struct car_sio_claim *claim) {
    return (struct car_claim){
        .tenant = claim->tenant.len ? car_buf_view(&claim->tenant) : car_span_of(NULL, 0),
        .token = claim->token.len ? car_buf_view(&claim->token) : car_span_of(NULL, 0),
        .key = claim->key.len ? car_buf_view(&claim->key) : car_span_of(NULL, 0),
    };
}

static int identify(struct car_sio_claim *claim, const struct car_sio *sio, const struct car_sio_shown *shown,
                    struct car_refusal *refusal) {
    const char *why = NULL;
    int err = read_name(&claim->tenant, shown, refusal);
    err = err ? err : read_credential(&claim->token, shown->token, "the token must be a string", refusal);
    err = err ? err : read_credential(&claim->key, shown->key, "the API key must be a string", refusal);
    struct car_claim view = car_sio_claim_view(claim);
    int status = err ? 0 : authenticate(sio, &view, &claim->who, &why);
    if (!err && !status && sio->tenant && sio->tenant != claim->who.tenant) {
        status = 403;
        why = "this connection is another tenant's; open one of its own";
    }
    if (!err && !status && !(claim->who.scopes & CAR_SCOPE_SUBSCRIBE)) {
        status = 403;
        why = car_auth_lacks(CAR_SCOPE_SUBSCRIBE);
    }
    return !err && status ? car_refuse(refusal, car_problem_code(status), NULL, why) : err;
}

int car_sio_claim_check(struct car_sio_claim *claim, const struct car_sio *sio, const struct car_sio_shown *shown,
                        struct car_refusal *refusal) {
    struct car_takings takings;
    car_takings_init(&takings);
    int err = car_rate_guess(sio->api, sio->eio.worker, &sio->client, &takings, refusal);
    err = err ? err : identify(claim, sio, shown, refusal);
    if (!err) {
        car_rates_give_back(&sio->api->rates, sio->eio.worker->reader, &takings);
    }
    return err;
}

void car_sio_claim_free(struct car_sio_claim *claim) {
    car_identity_drop(&claim->who);
    car_buf_free(&claim->tenant);
    car_buf_free(&claim->token);
    car_buf_free(&claim->key);
}
