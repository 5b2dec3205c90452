#include "carillon/api/api.h"

#include "carillon/api/assets.h"
#include "carillon/base/buf.h"
#include "carillon/base/config.h"
#include "carillon/runtime/worker.h"

#include "begin.h"
#include "call.h"
#include "respond.h"
#include "sio.h"

/* Where a resource lives. A path may end in {id}, which stands for one segment; a path that is spelled out beats it. */
struct route {
    struct car_span path;
    car_handler *get, *post;
    bool tenant; /* only with a tenant's credential */
    bool any;    /* `get` answers whatever the method */
};

static const struct route ROUTES[] = {
    {CAR_SPAN_INIT("/events"), .get = car_event_list, .post = car_event_publish, .tenant = true},
    {CAR_SPAN_INIT("/api/events"), .get = car_event_list, .post = car_event_publish, .tenant = true},
    {CAR_SPAN_INIT("/api/v1/events"), .get = car_event_list, .post = car_event_publish, .tenant = true},
    {CAR_SPAN_INIT("/api/v1/events/batch"), .post = car_event_batch, .tenant = true},
    {CAR_SPAN_INIT("/events/stats"), .get = car_event_stats, .tenant = true},
    {CAR_SPAN_INIT("/api/events/stats"), .get = car_event_stats, .tenant = true},
    {CAR_SPAN_INIT("/api/v1/events/stats"), .get = car_event_stats, .tenant = true},
    {CAR_SPAN_INIT("/api/v1/events/stream"), .get = car_event_stream, .tenant = true},
    {CAR_SPAN_INIT("/events/{id}"), .get = car_event_get, .tenant = true},
    {CAR_SPAN_INIT("/api/events/{id}"), .get = car_event_get, .tenant = true},
    {CAR_SPAN_INIT("/api/v1/events/{id}"), .get = car_event_get, .tenant = true},
    {CAR_SPAN_INIT("/ws"), .get = car_live_open, .tenant = true},
    {CAR_SPAN_INIT("/api/v1/ws"), .get = car_live_open, .tenant = true},
    {CAR_SPAN_INIT("/socket.io/"), .get = car_sio_request, .post = car_sio_request, .any = true},
    {CAR_SPAN_INIT("/socket.io"), .get = car_sio_request, .post = car_sio_request, .any = true},
    {CAR_SPAN_INIT("/api/v1/tenants"), .get = car_tenant_list},
    {CAR_SPAN_INIT("/health"), .get = car_health},
    {CAR_SPAN_INIT("/api/health"), .get = car_health},
    {CAR_SPAN_INIT("/livez"), .get = car_livez},
    {CAR_SPAN_INIT("/readyz"), .get = car_readyz},
};

#define PARAM "{id}"

static bool matches(const struct route *route, struct car_span path, struct car_span *id) {
    struct car_span pattern = route->path;
    *id = car_span_of(NULL, 0);
    size_t fixed = pattern.len - (sizeof PARAM - 1);
    if (pattern.len < sizeof PARAM || memcmp(pattern.ptr + fixed, PARAM, sizeof PARAM - 1) != 0) {
        return car_span_eq(pattern, path);
    }
    if (path.len <= fixed || memcmp(path.ptr, pattern.ptr, fixed) != 0 ||
        memchr(path.ptr + fixed, '/', path.len - fixed)) {
        return false;
    }
    *id = car_span_of(path.ptr + fixed, path.len - fixed);
    return true;
}

static const struct route *route_of(struct car_span path, struct car_span *id) {
    for (size_t i = 0; i < sizeof ROUTES / sizeof *ROUTES; i++) {
        if (matches(&ROUTES[i], path, id)) {
            return &ROUTES[i];
        }
    }
    return NULL;
}

static const char *allow_of(const struct route *route) {
    if (route && !route->get) {
        return "Allow: POST, OPTIONS\r\n";
    }
    return route && route->post ? "Allow: GET, HEAD, POST, OPTIONS\r\n" : "Allow: GET, HEAD, OPTIONS\r\n";
}

static void answer_options(struct car_call *call, const struct route *route) {
    struct car_buf lines = CAR_BUF_INIT;
    car_buf_span(&lines, car_span_cstr(allow_of(route)));
    if (call->api->config->cors_origins.count) {
        car_buf_span(&lines, car_span_cstr(car_preflight_headers));
    }
    car_buf_char(&lines, '\0');
    car_respond(call->exchange, &(struct car_response){.status = 204, .headers = lines.failed ? "" : lines.data});
    car_buf_free(&lines);
}

static bool identify(struct car_call *call) {
    const char *why = NULL;
    struct car_reader *reader = call->worker->reader;
    int status = car_auth_open(&call->api->auth, reader, call->req, &call->who, &why);
    if (status) {
        car_respond_problem(call->exchange, status, why, NULL, NULL);
        return false;
    }
    call->exchange->owner = call->who.tenant;
    return true;
}

static car_handler *handler_of(const struct route *route, enum car_http_method verb) {
    if (verb == CAR_HTTP_GET || verb == CAR_HTTP_HEAD || route->any) {
        return route->get;
    }
    return verb == CAR_HTTP_POST ? route->post : NULL;
}

static void dispatch(struct car_call *call) {
    const struct route *route = route_of(call->path, &call->id);
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
    car_handler *handler = handler_of(route, call->exchange->verb);
    if (!handler) {
        car_respond_problem(call->exchange, 405, NULL, NULL, allow_of(route));
    } else if (!route->tenant || identify(call)) {
        handler(call);
    }
}

/* Whether a body of the request's type can be posted there. */
static bool takes(const struct route *route, const struct car_http_request *req, const char **why) {
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
    struct car_span id;
    struct car_identity who;
    if (!req->path.ptr || memchr(req->path.ptr, '%', req->path.len) || req->verb == CAR_HTTP_OPTIONS) {
        return 0;
    }
    const struct route *route = route_of(req->path, &id);
    if (!route) {
        *why = "there is nothing at this path";
        return car_asset_find(req->path) ? 0 : 404;
    }
    if (!handler_of(route, req->verb)) {
        car_buf_span(&exchange->headers, car_span_cstr(allow_of(route)));
        *why = "this method is not for this path";
        return 405;
    }
    int status = route->tenant ? car_auth_open(&api->auth, exchange->worker->reader, req, &who, why) : 0;
    if (!status && req->verb == CAR_HTTP_POST && !takes(route, req, why)) {
        status = 415;
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
    struct car_call call = {
        .api = app, .exchange = exchange, .worker = exchange->worker, .req = req, .path = req->path};
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
    car_buf_free(&decoded);
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    if (!exchange->request_id[0]) {
        car_begin(app, exchange, NULL);
    }
    /* The contract has one status for a head that is too large, whichever part of it is. */
    car_respond_problem(exchange, status == 414 ? 431 : status, why, NULL, NULL);
}

const struct car_http_app car_api_app = {.begin = on_begin, .request = on_request, .refuse = on_refuse};
