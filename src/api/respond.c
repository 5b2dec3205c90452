#include "respond.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/buf.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net.h"
#include "carillon/proto/http.h"
#include "carillon/proto/json.h"

void car_respond_json(struct car_exchange *exchange, int status, json_t *document) {
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (!text) {
        car_respond_problem(exchange, 500, NULL, NULL, NULL);
        return;
    }
    struct car_buf body = CAR_BUF_INIT;
    car_json_rewrite(&body, car_span_cstr(text)); /* harmless inside HTML, which jansson's is not */
    free(text);
    if (body.failed) {
        car_buf_free(&body);
        car_respond_problem(exchange, 503, "out of memory", NULL, NULL);
        return;
    }
    struct car_response response = {
        .status = status,
        .type = CAR_TYPE_JSON,
        .body = car_buf_view(&body),
        .headers = "Cache-Control: no-store\r\n",
        .owner = exchange->owner,
    };
    car_respond(exchange, &response);
    car_buf_free(&body);
}

const char *car_problem_code(int status) {
    switch (status) {
    case 400:
        return "bad_request";
    case 401:
        return "unauthorized";
    case 403:
        return "forbidden";
    case 404:
        return "not_found";
    case 405:
        return "method_not_allowed";
    case 408:
        return "request_timeout";
    case 409:
        return "conflict";
    case 413:
        return "too_large";
    case 415:
        return "unsupported_media_type";
    case 422:
        return "validation_error";
    case 426:
        return "upgrade_required";
    case 429:
        return "rate_limited";
    case 431:
        return "headers_too_large";
    case 501:
        return "not_implemented";
    case 503:
        return "unavailable";
    case 505:
        return "http_version_not_supported";
    default:
        return "internal";
    }
}

/* What a status asks for whoever answers with it. */
static const char *headers_of(int status) {
    switch (status) {
    case 401:
        return "WWW-Authenticate: Bearer realm=\"carillon\", Tenant realm=\"carillon\"\r\n";
    case 426:
        return "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    default:
        return "";
    }
}

static void member(struct car_buf *out, const char *lead, const char *value) {
    car_buf_span(out, car_span_cstr(lead));
    car_json_write_string(out, car_span_cstr(value));
}

/* Who is refused by a server that goes away comes back to another, and not in the same second as everybody else. */
static void retry_after(struct car_buf *out, const struct car_exchange *exchange) {
    unsigned seconds = exchange->draining ? car_net_retry_s() : 1;
    car_buf_printf(out, "Retry-After: %u\r\n", seconds);
}

void car_respond_problem(struct car_exchange *exchange, int status, const char *detail,
                         const struct car_field_error *field, const char *headers) {
    struct car_buf body = CAR_BUF_INIT;
    member(&body, "{\"type\":\"about:blank\",\"title\":", car_http_status_text(status));
    CAR_BUF_LIT(&body, ",\"status\":");
    car_buf_u64(&body, (uint64_t)status);
    member(&body, ",\"detail\":", detail ? detail : car_http_status_text(status));
    member(&body, ",\"code\":", car_problem_code(status));
    member(&body, ",\"request_id\":", exchange->request_id);
    if (field) {
        member(&body, ",\"errors\":[{\"field\":", field->field);
        member(&body, ",\"message\":", field->message);
        CAR_BUF_LIT(&body, "}]");
    }
    CAR_BUF_LIT(&body, "}");
    struct car_buf lines = CAR_BUF_INIT;
    CAR_BUF_LIT(&lines, "Cache-Control: no-store\r\n");
    car_buf_span(&lines, car_span_cstr(headers_of(status)));
    if (status == 503 && !(headers && strstr(headers, "Retry-After: "))) {
        retry_after(&lines, exchange);
    }
    if (headers) {
        car_buf_span(&lines, car_span_cstr(headers));
    }
    car_buf_char(&lines, '\0');
    struct car_response response = {
        .status = status,
        .type = CAR_TYPE_PROBLEM,
        .body = body.failed ? car_span_of(NULL, 0) : car_buf_view(&body),
        .headers = lines.failed ? "" : lines.data,
    };
    car_respond(exchange, &response);
    car_buf_free(&body);
    car_buf_free(&lines);
}
