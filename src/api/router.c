#include "carillon/api/api.h"

#include "carillon/api/assets.h"
#include "carillon/base/buf.h"
#include "carillon/base/config.h"
#include "carillon/runtime/worker.h"

#include "api_metrics.h"
#include "audit.h"
#include "begin.h"
#include "call.h"
#include "certificate.h"
#include "client.h"
#include "rate.h"
#include "respond.h"
#include "routes.h"
#include "sio_open.h"

/* Header lines that tell the methods, for an answer. */
static const char *allow_lines(const struct car_route *route, struct car_buf *out) {
    car_route_allow(route, out);
    car_buf_char(out, '\0');
    return out->failed ? "" : out->data;
}

static void answer_options(struct car_call *call, const struct car_route *route) {
    struct car_buf lines = CAR_BUF_INIT;
    car_route_allow(route, &lines);
    if (call->api->config->cors_origins.count) {
        car_buf_span(&lines, car_span_cstr(car_preflight_headers));
    }
    car_buf_char(&lines, '\0');
    car_respond(call->exchange, &(struct car_response){.status = 204, .headers = lines.failed ? "" : lines.data});
    car_buf_free(&lines);
}

static void refuse_method(struct car_call *call, const struct car_route *route) {
    struct car_buf lines = CAR_BUF_INIT;
    car_respond_problem(call->exchange, 405, NULL, NULL, allow_lines(route, &lines));
    car_buf_free(&lines);
}

/* What a tenant's resources want of who asks: who posts to them publishes, all else reads. */
static unsigned scope_of(enum car_http_method verb) {
    return verb == CAR_HTTP_POST ? CAR_SCOPE_PUBLISH : CAR_SCOPE_SUBSCRIBE;
}

/* What the audit log calls it. */
static const char *act_of(const struct car_route *route, enum car_http_method verb) {
    if (route->get == car_live_open || route->get == car_event_stream) {
        return route->get == car_live_open ? "websocket" : "sse";
    }
    if (route->asker == CAR_OF_ADMIN || route->asker == CAR_OF_EITHER) {
        return "administer";
    }
    return verb == CAR_HTTP_POST ? "publish" : "read";
}

static int identify_for_scope(const struct car_api *api, const struct car_exchange *exchange,
                              const struct car_http_request *req, unsigned scope, struct car_identity *who,
                              const char **why) {
    int status = car_auth_request_for(&api->auth, exchange->worker->reader, req, scope, who, why);
    if (!status && scope == CAR_SCOPE_PUBLISH && !car_may_publish(api, exchange->certified)) {
        car_identity_drop(who);
        *who = (struct car_identity){0};
        *why = CAR_NO_CERTIFICATE;
        status = 403;
    }
    return status;
}

/* Whose the request is, where the resource's asker lets them in. 0 and *who; else the status, and why. */
static int identify_for(const struct car_api *api, const struct car_exchange *exchange,
                        const struct car_http_request *req, const struct car_route *route, struct car_span id,
                        struct car_identity *who, const char **why) {
    struct car_reader *reader = exchange->worker->reader;
    switch (route->asker) {
    case CAR_ANYBODY:
        return 0;
    case CAR_OF_TENANT:
        return identify_for_scope(api, exchange, req, scope_of(req->verb), who, why);
    default:
        break;
    }
    /* By name alone anybody may know the names. */
    bool listed = api->auth.mode == CAR_AUTH_OPEN && !id.ptr && car_route_handler(route, req->verb) == car_tenant_list;
    unsigned scopes = route->asker == CAR_OF_EITHER ? CAR_SCOPES_ALL : CAR_SCOPE_ADMIN;
    /* What a tenant may is not for itself to say, nor whether it is there. */
    if (req->verb == CAR_HTTP_PATCH || req->verb == CAR_HTTP_DELETE) {
        scopes = car_route_handler(route, req->verb) == car_tenant_key_delete ? scopes : 0;
    }
    return listed ? 0 : car_auth_admin(&api->auth, reader, req, id, scopes, who, why);
}

static bool identify(struct car_call *call, const struct car_route *route) {
    const char *why = NULL;
    const char *act = act_of(route, call->exchange->verb);
    if (!car_rate_asker(call, route->asker, act)) {
        return false;
    }
    if (route->asker == CAR_OF_ADMIN || route->asker == CAR_OF_EITHER) {
        (void)car_client_find(call->api, call->exchange, call->req); /* for what is told of it when it is done */
    }
    int status = identify_for(call->api, call->exchange, call->req, route, call->id, &call->who, &why);
    if (status) {
        car_audit_claim(call->api, call->exchange, call->req, act, status, why);
        car_respond_problem(call->exchange, status, why, NULL, NULL);
        return false;
    }
    call->exchange->owner = route->asker == CAR_OF_TENANT ? call->who.tenant : NULL;
    return car_rate_known(call, route->asker, act);
}

static void dispatch(struct car_call *call) {
    struct car_route_segments segments;
    const struct car_route *route = car_route_find(call->path, &segments);
    if (call->exchange->verb == CAR_HTTP_OPTIONS) {
        answer_options(call, route);
        return;
    }
    if (!route) {
        if (!car_file_answer(call)) {
            car_respond_problem(call->exchange, 404, "there is nothing at this path", NULL, NULL);
        }
        return;
    }
    car_handler *handler = car_route_handler(route, call->exchange->verb);
    call->exchange->resource = car_resource_of(route, call->exchange->verb);
    call->id = segments.id;
    call->kid = segments.kid;
    if (!handler) {
        refuse_method(call, route);
    } else if (identify(call, route)) {
        handler(call);
    }
}

/* Whether a body of the request's type can be posted there. */
static bool takes(const struct car_route *route, const struct car_http_request *req, const char **why) {
    bool batch = route->post == car_event_batch;
    if ((!batch && route->post != car_event_publish) || car_is_media(req, CAR_TYPE_JSON) ||
        (batch && car_is_media(req, CAR_TYPE_NDJSON))) {
        return true;
    }
    *why = batch ? CAR_BATCH_TYPES : "an event is published as application/json";
    return false;
}

/* The status that the request gets whatever its body is; 0 where that matters, or where it is not plain to see. */
static int foresee(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req,
                   const char **why) {
    struct car_route_segments segments;
    struct car_identity who = {0};
    struct car_takings takings;
    if (!req->path.ptr || memchr(req->path.ptr, '%', req->path.len) || req->verb == CAR_HTTP_OPTIONS) {
        return 0;
    }
    const struct car_route *route = car_route_find(req->path, &segments);
    if (!route) {
        *why = "there is nothing at this path";
        return car_asset_find(req->path) ? 0 : 404;
    }
    if (!car_route_handler(route, req->verb)) {
        car_route_allow(route, &exchange->headers);
        *why = "this method is not for this path";
        return 405;
    }
    exchange->resource = car_resource_of(route, req->verb);
    car_takings_init(&takings);
    int status = car_rate_before(api, exchange, req, route->asker, &takings, why);
    status = status ? status : identify_for(api, exchange, req, route, segments.id, &who, why);
    car_identity_drop(&who);
    if (status) {
        car_audit_request(api, exchange, req, act_of(route, req->verb), status, *why);
    }
    if (!status && req->verb == CAR_HTTP_POST && !takes(route, req, why)) {
        status = 415;
    }
    if (!status) {
        car_rate_undo(api, exchange, &takings); /* it is counted when it is whole */
    }
    return status;
}

static int on_begin(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    car_begin(app, exchange, req);
    int status = req->expect_continue ? foresee(app, exchange, req, why) : 0;
    if (!status) {
        car_sio_expect(app, exchange, req); /* the exchange may be gone with this */
    }
    return status;
}

static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_takings takings;
    struct car_call call = {.api = app,
                            .exchange = exchange,
                            .worker = exchange->worker,
                            .req = req,
                            .path = req->path,
                            .takings = &takings};
    car_takings_init(&takings);
    struct car_buf decoded = CAR_BUF_INIT;
    if (!req->path.ptr) {
        car_respond_problem(exchange, 405, "this server is no proxy", NULL, "Allow: GET, HEAD, POST, OPTIONS\r\n");
        return;
    }
    /* An encoded slash is none (RFC 3986, section 2.2): such a path is looked up as it is, and found nowhere. */
    if (memchr(req->path.ptr, '%', req->path.len) && !memmem(req->path.ptr, req->path.len, "%2F", 3) &&
        !memmem(req->path.ptr, req->path.len, "%2f", 3)) {
        if (car_http_decode(req->path, false, &decoded) != 0) {
            car_respond_problem(exchange, 400, "the path has a malformed percent-encoding", NULL, NULL);
            car_buf_free(&decoded);
            return;
        }
        call.path = car_buf_view(&decoded);
    }
    dispatch(&call);
    car_identity_drop(&call.who);
    car_buf_free(&decoded);
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    if (!exchange->request_id[0]) {
        car_begin(app, exchange, NULL);
    }
    if (status == 503) {
        car_audit_turned_away(exchange, why);
    }
    /* The contract has one status for a head that is too large, whichever part of it is. */
    car_respond_problem(exchange, status == 414 ? 431 : status, why, NULL, NULL);
}

/* Whoever looks after the server is told how it is: it is not to be ended, nor taken out, for want of room. */
static bool on_always(void *app, const struct car_http_request *req) {
    struct car_route_segments segments;
    const struct car_route *route = req->path.ptr ? car_route_find(req->path, &segments) : NULL;
    (void)app;
    return route && (route->get == car_livez || route->get == car_readyz || route->get == car_health ||
                     route->get == car_metrics);
}

/* Whether they may publish shows when the request is whole. Requests of Socket.IO may say it in their query. */
static const void *on_whose(void *app, const struct car_exchange *exchange, const struct car_http_request *req) {
    const struct car_api *api = app;
    struct car_route_segments segments;
    struct car_identity who = {0};
    const char *why = NULL;
    const struct car_route *route = req->path.ptr ? car_route_find(req->path, &segments) : NULL;
    bool says = route && (route->asker == CAR_OF_TENANT || route->any) && car_route_handler(route, req->verb);
    unsigned scope = says && route->any ? CAR_SCOPE_SUBSCRIBE : scope_of(req->verb);
    if (!says || identify_for_scope(api, exchange, req, scope, &who, &why) != 0) {
        return NULL;
    }
    const struct car_tenant *tenant = who.tenant;
    car_identity_drop(&who);
    return tenant;
}

static void on_answered(void *app, const struct car_exchange *exchange, int status) {
    (void)app;
    car_count_answer(exchange, status);
}

const struct car_http_app car_api_app = {
    .begin = on_begin,
    .request = on_request,
    .refuse = on_refuse,
    .whose = on_whose,
    .always = on_always,
    .answered = on_answered,
};
