#include "sio_open.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/lease.h"
#include "carillon/proto/engineio.h"
#include "carillon/proto/ws.h"
#include "carillon/runtime/worker.h"

#include "admission.h"
#include "api_metrics.h"
#include "audit.h"
#include "begin.h"
#include "call.h"
#include "client.h"
#include "command.h"
#include "join.h"
#include "rate.h"
#include "respond.h"
#include "room.h"
#include "sio.h"

void car_sio_let_go(struct car_sio *sio) {
    car_lease_drop(&sio->asked_lease);
    car_grant_unref(&sio->asked_grant);
    car_rooms_drop(sio->api->rooms, &sio->room);
    free(sio->asked_name);
    sio->asked_name = NULL;
}

/* Who the handshake says it is: a namespace may be connected to with that. */
static void read_asked(struct car_sio *sio, struct car_worker *worker, const struct car_http_request *req) {
    struct car_claim claim;
    struct car_claim_texts texts;
    struct car_identity who = {0};
    const struct car_auth *auth = &sio->api->auth;
    int status = car_claim_read(req, auth->mode != CAR_AUTH_OPEN, &claim, &texts, &sio->asked_why);
    status = status ? status : car_auth_claim(auth, worker->reader, &claim, &who, &sio->asked_why);
    sio->asked_status = (uint16_t)status;
    sio->asked = who.tenant;
    sio->asked_grant = who.grant; /* its reference */
    sio->asked_named = status == 0 || status == 400 || claim.tenant.ptr || claim.token.ptr;
    if (status && claim.tenant.ptr && car_tenant_id_ok(claim.tenant)) {
        sio->asked_name = calloc(1, claim.tenant.len + 1);
        if (sio->asked_name) {
            memcpy(sio->asked_name, claim.tenant.ptr, claim.tenant.len);
        }
    }
    car_claim_free(&texts);
}

/* What the handshake was good for has ended, and no namespace has been connected to yet. */
static void on_asked_ended(void *holder) {
    struct car_sio *sio = holder;
    struct car_subscriber subscriber = {.api = sio->api,
                                        .tenant = sio->asked,
                                        .worker = sio->eio.worker,
                                        .name = car_lease_name(sio->asked_lease),
                                        .grant = sio->asked_grant,
                                        .client = &sio->client,
                                        .request_id = sio->request_id};
    car_audit_subscriber(&subscriber, "socketio", CAR_AUDIT_ENDED, car_span_of(NULL, 0), CAR_REVOKED);
    car_eio_close(&sio->eio, CAR_WS_POLICY, CAR_REVOKED);
}

/* What has ended since it was read says nobody any more. */
static int lease_asked(struct car_sio *sio, struct car_worker *worker) {
    const struct car_identity who = {.tenant = sio->asked, .grant = sio->asked_grant};
    int err = sio->asked ? car_lease_take(&sio->asked_lease, worker, &who, on_asked_ended, sio) : 0;
    if (err == CAR_ECLOSED) {
        car_grant_unref(&sio->asked_grant);
        sio->asked = NULL;
        sio->asked_status = 401;
        sio->asked_why = CAR_REVOKED;
    }
    return err == CAR_ECLOSED ? 0 : err;
}

/* false where it is refused, and answered. */
static bool let_in(struct car_sio *sio, struct car_exchange *exchange, const struct car_http_request *req) {
    const char *why = "out of memory";
    read_asked(sio, exchange->worker, req);
    if (!car_admission_passes_as(sio->api, exchange, sio->asked)) {
        return false;
    }
    int status =
        lease_asked(sio, exchange->worker) ? 503 : car_room_take(sio->api, exchange, req, sio->asked, &sio->room, &why);
    if (status) {
        car_audit_request(sio->api, exchange, req, "socketio", status, why);
        car_respond_problem(exchange, status, why, NULL, status == 429 ? CAR_ROOM_RETRY : NULL);
    }
    return !status;
}

static struct car_eio *open_sio(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_api *api = app;
    size_t id_size = strlen(exchange->request_id) + 1;
    struct car_sio *sio = calloc(1, sizeof *sio + id_size);
    if (!sio) {
        car_eio_unavailable(exchange);
        return NULL;
    }
    sio->api = api;
    memcpy(sio->request_id, exchange->request_id, id_size);
    sio->certified = exchange->certified;
    (void)car_client_of(api, exchange, req, &sio->client);
    if (!let_in(sio, exchange, req)) {
        car_sio_let_go(sio);
        free(sio);
        return NULL;
    }
    return &sio->eio;
}

/* Why a request of the session is refused; 0 where it names and shows nobody else. What it shows may be worth nothing
 * any more, as a token that another one has taken the place of. */
static int judge(const struct car_sio *sio, struct car_exchange *exchange, const struct car_http_request *req,
                 const char **why) {
    const struct car_tenant *own = sio->tenant ? sio->tenant : sio->asked;
    const struct car_auth *auth = &sio->api->auth;
    struct car_claim claim;
    struct car_claim_texts texts;
    struct car_identity who = {0};
    const char *ignored;
    if (!own) {
        return 0; /* nobody as yet */
    }
    int status = car_claim_read(req, auth->mode != CAR_AUTH_OPEN, &claim, &texts, why);
    bool other = !status && claim.tenant.ptr && !car_span_eq(claim.tenant, car_tenant_id(own));
    if (!status && !other && auth->mode != CAR_AUTH_OPEN) {
        claim.tenant = car_span_of(NULL, 0);
        other = car_auth_claim(auth, exchange->worker->reader, &claim, &who, &ignored) == 0 && who.tenant != own;
        car_identity_drop(&who);
    }
    car_claim_free(&texts);
    if (other) {
        *why = "the session is another tenant's";
    }
    return other ? 403 : status;
}

static bool admit_to_sio(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req) {
    const struct car_sio *sio = (const struct car_sio *)eio; /* its first member */
    const char *why = NULL;
    int status = 403;
    if (sio->certified && !exchange->certified) {
        why = "the session began with a client certificate"; /* by which it may publish */
    } else {
        status = judge(sio, exchange, req, &why);
    }
    if (status) {
        car_audit_request(sio->api, exchange, req, "socketio", status, why);
        car_respond_problem(exchange, status, why, NULL, NULL);
    }
    return !status;
}

void car_sio_set_up(struct car_api *api) {
    const struct car_config *config = api->config;
    api->sio = (struct car_eio_server){
        .ops = &car_sio_eio_ops,
        .open = open_sio,
        .admit = admit_to_sio,
        .app = api,
        .ping_interval_ms = config->ping_interval_ms,
        .ping_timeout_ms = config->ping_timeout_ms,
        .connect_timeout_ms = config->sio_connect_timeout_ms,
        .max_payload = config->max_body_bytes,
    };
}

/* Spelled out: what begins at this path does not show where it has been encoded. */
static bool is_sio_path(struct car_span path) {
    return car_span_eq(path, CAR_SPAN("/socket.io/")) || car_span_eq(path, CAR_SPAN("/socket.io"));
}

void car_sio_expect(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req) {
    if (is_sio_path(req->path) && exchange->verb != CAR_HTTP_OPTIONS && car_origin_ok(api, req)) {
        car_eio_expect(&api->sio, exchange, req);
    }
}

/* Whether it is a session's first request: one that names none. */
static bool opens(const struct car_http_request *req) {
    struct car_buf sid = CAR_BUF_INIT;
    bool named = car_http_param(req->query, "sid", &sid) == 0 && sid.len > 0;
    car_buf_free(&sid);
    return !named;
}

void car_sio_request(struct car_call *call) {
    bool first = opens(call->req);
    call->exchange->resource = first ? CAR_RESOURCE_SESSION : CAR_RESOURCE_SOCKETIO;
    if (!is_sio_path(call->req->path)) {
        car_respond_problem(call->exchange, 404, "there is nothing at this path", NULL, NULL);
    } else if (!car_origin_ok(call->api, call->req)) {
        car_audit_call(call, "socketio", CAR_AUDIT_REFUSED, 403, CAR_ORIGIN_REFUSED);
        car_eio_refuse(call->exchange, CAR_ENGINEIO_FORBIDDEN);
    } else if (first ? car_rate_session(call) : true) {
        car_eio_request(&call->api->sio, call->exchange, call->req);
    }
}
