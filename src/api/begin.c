#include "begin.h"

#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/base/uuid.h"
#include "carillon/net/exchange.h"
#include "carillon/proto/http.h"

#define DATE          "Date: "
#define HEADERS_USUAL 768

/* What is no page needs nothing, should a browser take it for one. */
#define POLICY "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"

static const char SECURITY[] = "X-Content-Type-Options: nosniff\r\n"
                               "X-Frame-Options: DENY\r\n"
                               "Referrer-Policy: no-referrer\r\n"
                               "Cross-Origin-Opener-Policy: same-origin\r\n" POLICY;

static const char PAGE_POLICY[] = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                                  "img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; "
                                  "base-uri 'none'; frame-ancestors 'none'\r\n";

const char car_preflight_headers[] =
    "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
    "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, Last-Event-ID, traceparent, "
    "X-API-Key, X-Request-Id, X-Tenant-ID, X-User-Token\r\n"
    "Access-Control-Max-Age: 600\r\n";

/* A client's id that may stand in a header and in a log line: 1 to 64 characters of [A-Za-z0-9._:-]. */
static bool sane(struct car_span id) {
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && c != '.' && c != '_' && c != ':' && c != '-') {
            return false;
        }
    }
    return id.len >= 1 && id.len <= CAR_REQUEST_ID_MAX;
}

static void give_id(struct car_exchange *exchange, const struct car_http_request *req) {
    size_t count = 0;
    struct car_span asked = req ? car_http_header_get(req, "X-Request-Id", &count) : car_span_of(NULL, 0);
    if (count == 1 && sane(asked)) {
        memcpy(exchange->request_id, asked.ptr, asked.len);
        return;
    }
    struct car_uuid uuid;
    car_uuid_make(&uuid);
    car_uuid_write(&uuid, exchange->request_id);
}

/* `scheme://host[:port]` without the scheme's default port, lower case, as the configuration has them. */
static bool origin_listed(const struct car_config *config, struct car_span origin, bool *any) {
    *any = false;
    bool listed = false;
    for (size_t i = 0; i < config->cors_origins.count; i++) {
        struct car_span allowed = car_span_cstr(config->cors_origins.items[i]);
        *any = *any || car_span_eq(allowed, CAR_SPAN("*"));
        listed = listed || car_span_ieq(allowed, origin);
    }
    return listed || *any;
}

static void cors(struct car_buf *out, const struct car_config *config, const struct car_http_request *req) {
    if (config->cors_origins.count == 0) {
        return;
    }
    size_t count = 0;
    struct car_span origin = car_http_header_get(req, "Origin", &count);
    bool any = false;
    bool listed = count == 1 && origin_listed(config, origin, &any);
    if (!any) {
        CAR_BUF_LIT(out, "Vary: Origin\r\n");
    }
    if (listed) {
        CAR_BUF_LIT(out, "Access-Control-Allow-Origin: ");
        car_buf_span(out, any ? CAR_SPAN("*") : origin);
        if (!any) {
            CAR_BUF_LIT(out, "\r\nAccess-Control-Allow-Credentials: true");
        }
        CAR_BUF_LIT(out, "\r\nAccess-Control-Expose-Headers: Location, Retry-After, RateLimit, RateLimit-Policy, "
                         "X-Request-Id, Idempotent-Replayed\r\n");
    }
}

/* The lines that are the same in every answer of one second, of the calling thread. */
static struct car_span common_lines(void) {
    static _Thread_local int64_t second = -1;
    static _Thread_local char lines[sizeof DATE - 1 + CAR_HTTP_DATE_LEN + 2 + sizeof SECURITY];
    int64_t now = car_clock_wall_ms();
    if (now / 1000 != second) {
        char *date = lines + sizeof DATE - 1;
        second = now / 1000;
        memcpy(lines, DATE, sizeof DATE - 1);
        car_http_date(now, date);
        memcpy(date + CAR_HTTP_DATE_LEN, "\r\n", 2);
        memcpy(date + CAR_HTTP_DATE_LEN + 2, SECURITY, sizeof SECURITY);
    }
    return car_span_of(lines, sizeof lines - 1);
}

/* Whether the path is one of those that pages have. */
static bool is_page(struct car_span path) {
    struct car_span end = CAR_SPAN(".html");
    return car_span_eq(path, CAR_SPAN("/")) ||
           (path.len > end.len && car_span_eq(car_span_of(path.ptr + path.len - end.len, end.len), end));
}

static void standing_lines(struct car_buf *out, bool page) {
    struct car_span lines = common_lines();
    if (page) {
        lines.len -= sizeof POLICY - 1;
    }
    car_buf_span(out, lines);
    if (page) {
        CAR_BUF_LIT(out, PAGE_POLICY);
    }
}

void car_begin(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req) {
    give_id(exchange, req);
    struct car_buf *out = &exchange->headers;
    (void)car_buf_reserve(out, HEADERS_USUAL);
    CAR_BUF_LIT(out, "X-Request-Id: ");
    car_buf_span(out, car_span_cstr(exchange->request_id));
    CAR_BUF_LIT(out, "\r\n");
    if (req) {
        cors(out, api->config, req);
    }
    standing_lines(out, req && is_page(req->path));
    if (exchange->secure) {
        CAR_BUF_LIT(out, "Strict-Transport-Security: max-age=31536000\r\n");
    }
}

/* Whether the origin's host and port are those that the request was sent to. */
static bool same_origin(struct car_span origin, struct car_span host) {
    static const char *const SCHEMES[][2] = {{"http://", ":80"}, {"https://", ":443"}};
    for (size_t i = 0; i < 2; i++) {
        struct car_span scheme = car_span_cstr(SCHEMES[i][0]);
        struct car_span port = car_span_cstr(SCHEMES[i][1]);
        if (origin.len <= scheme.len || !car_span_ieq(car_span_of(origin.ptr, scheme.len), scheme)) {
            continue;
        }
        struct car_span theirs = car_span_of(origin.ptr + scheme.len, origin.len - scheme.len);
        struct car_span ours = host;
        if (ours.len > port.len && car_span_eq(car_span_of(ours.ptr + ours.len - port.len, port.len), port)) {
            ours.len -= port.len;
        }
        return car_span_ieq(theirs, ours);
    }
    return false;
}

bool car_origin_ok(const struct car_api *api, const struct car_http_request *req) {
    size_t count = 0;
    struct car_span origin = car_http_header_get(req, "Origin", &count);
    bool any;
    return count == 0 || (count == 1 && (same_origin(origin, req->host) || origin_listed(api->config, origin, &any)));
}
