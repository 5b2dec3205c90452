#include "routes.h"

static const struct car_route ROUTES[] = {
    {CAR_SPAN_INIT("/events"), .get = car_event_list, .post = car_event_publish, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/events"), .get = car_event_list, .post = car_event_publish, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/v1/events"), .get = car_event_list, .post = car_event_publish, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/v1/events/batch"), .post = car_event_batch, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/events/stats"), .get = car_event_stats, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/events/stats"), .get = car_event_stats, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/v1/events/stats"), .get = car_event_stats, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/v1/events/stream"), .get = car_event_stream, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/events/{id}"), .get = car_event_get, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/events/{id}"), .get = car_event_get, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/v1/events/{id}"), .get = car_event_get, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/ws"), .get = car_live_open, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/api/v1/ws"), .get = car_live_open, .asker = CAR_OF_TENANT},
    {CAR_SPAN_INIT("/socket.io/"), .get = car_sio_request, .post = car_sio_request, .any = true},
    {CAR_SPAN_INIT("/socket.io"), .get = car_sio_request, .post = car_sio_request, .any = true},
    {CAR_SPAN_INIT("/api/v1/tenants"), .get = car_tenant_list, .post = car_tenant_create, .asker = CAR_OF_ADMIN},
    {CAR_SPAN_INIT("/api/v1/tenants/{id}"), .get = car_tenant_get, .patch = car_tenant_patch, .del = car_tenant_delete,
     .asker = CAR_OF_ADMIN},
    {CAR_SPAN_INIT("/api/v1/tenants/{id}/keys"), .get = car_tenant_key_list, .post = car_tenant_key_create,
     .asker = CAR_OF_ADMIN},
    {CAR_SPAN_INIT("/api/v1/tenants/{id}/keys/{kid}"), .del = car_tenant_key_delete, .asker = CAR_OF_ADMIN},
    {CAR_SPAN_INIT("/api/v1/tenants/{id}/token"), .post = car_tenant_token, .asker = CAR_OF_EITHER},
    {CAR_SPAN_INIT("/api/v1/overview"), .get = car_overview, .asker = CAR_OF_ADMIN},
    {CAR_SPAN_INIT("/api/v1/settings"), .get = car_settings},
    {CAR_SPAN_INIT("/health"), .get = car_health},
    {CAR_SPAN_INIT("/api/health"), .get = car_health},
    {CAR_SPAN_INIT("/livez"), .get = car_livez},
    {CAR_SPAN_INIT("/readyz"), .get = car_readyz},
    {CAR_SPAN_INIT("/metrics"), .get = car_metrics},
};

/* What the segment of a pattern is the name of; NULL where it is spelled out. */
static struct car_span *named(struct car_span segment, struct car_route_segments *segments) {
    if (car_span_eq(segment, CAR_SPAN("{id}"))) {
        return &segments->id;
    }
    return car_span_eq(segment, CAR_SPAN("{kid}")) ? &segments->kid : NULL;
}

/* Takes the first segment off a path that begins with a slash. false where none is left; it may be empty. */
static bool next(struct car_span *path, struct car_span *segment) {
    if (path->len == 0) {
        return false;
    }
    const char *end = memchr(path->ptr + 1, '/', path->len - 1);
    size_t len = end ? (size_t)(end - path->ptr) : path->len;
    *segment = car_span_of(path->ptr + 1, len - 1);
    *path = car_span_of(path->ptr + len, path->len - len);
    return true;
}

static bool matches(struct car_span pattern, struct car_span path, struct car_route_segments *segments) {
    struct car_span want;
    struct car_span is;
    *segments = (struct car_route_segments){0};
    while (next(&pattern, &want)) {
        struct car_span *name = named(want, segments);
        if (!next(&path, &is) || (name ? is.len == 0 : !car_span_eq(want, is))) {
            return false;
        }
        if (name) {
            *name = is;
        }
    }
    return path.len == 0;
}

const struct car_route *car_route_find(struct car_span path, struct car_route_segments *segments) {
    if (path.len == 0 || path.ptr[0] != '/') {
        return NULL;
    }
    for (size_t i = 0; i < sizeof ROUTES / sizeof *ROUTES; i++) {
        const struct car_route *route = &ROUTES[i];
        /* Most paths are spelled out, and are no longer than what they could be. */
        if (car_span_eq(route->path, path)) {
            *segments = (struct car_route_segments){0};
            return route;
        }
        if (memchr(route->path.ptr, '{', route->path.len) && matches(route->path, path, segments)) {
            return route;
        }
    }
    return NULL;
}

car_handler *car_route_handler(const struct car_route *route, enum car_http_method verb) {
    if (route->any) {
        return route->get;
    }
    switch (verb) {
    case CAR_HTTP_GET:
    case CAR_HTTP_HEAD:
        return route->get;
    case CAR_HTTP_POST:
        return route->post;
    case CAR_HTTP_PATCH:
        return route->patch;
    case CAR_HTTP_DELETE:
        return route->del;
    default:
        return NULL;
    }
}

void car_route_allow(const struct car_route *route, struct car_buf *out) {
    CAR_BUF_LIT(out, "Allow: ");
    if (!route || route->get) {
        CAR_BUF_LIT(out, "GET, HEAD, ");
    }
    if (route && route->post) {
        CAR_BUF_LIT(out, "POST, ");
    }
    if (route && route->patch) {
        CAR_BUF_LIT(out, "PATCH, ");
    }
    if (route && route->del) {
        CAR_BUF_LIT(out, "DELETE, ");
    }
    CAR_BUF_LIT(out, "OPTIONS\r\n");
}
