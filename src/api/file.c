#include "carillon/api/assets.h"
#include "carillon/base/buf.h"
#include "carillon/proto/http.h"

#include "call.h"
#include "respond.h"

/* Whether one of If-None-Match's tags is the representation's (RFC 9110, section 13.1.2: compared weakly). */
static bool has_it(const struct car_http_request *req, const char *etag) {
    struct car_span list = car_http_header_get(req, "If-None-Match", NULL);
    struct car_span tag;
    while (car_span_next(&list, ',', &tag)) {
        tag = car_span_trim(tag);
        if (tag.len > 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/') {
            tag = car_span_of(tag.ptr + 2, tag.len - 2);
        }
        if (car_span_eq(tag, CAR_SPAN("*")) || car_span_eq(tag, car_span_cstr(etag))) {
            return true;
        }
    }
    return false;
}

static void answer(struct car_call *call, const struct car_asset *asset) {
    bool gzip = asset->gzip.data && car_http_header_accepts(call->req, "Accept-Encoding", "gzip");
    const struct car_asset_body *body = gzip ? &asset->gzip : &asset->identity;
    struct car_buf lines = CAR_BUF_INIT;
    car_buf_printf(&lines, "ETag: %s\r\nCache-Control: no-cache\r\n%s%s", body->etag,
                   asset->gzip.data ? "Vary: Accept-Encoding\r\n" : "", gzip ? "Content-Encoding: gzip\r\n" : "");
    car_buf_char(&lines, '\0');
    struct car_response response = {
        .status = has_it(call->req, body->etag) ? 304 : 200,
        .type = asset->type,
        .body = car_span_of((const char *)body->data, body->len),
        .headers = lines.failed ? "" : lines.data,
    };
    car_respond(call->exchange, &response);
    car_buf_free(&lines);
}

bool car_file_answer(struct car_call *call) {
    const struct car_asset *asset = car_asset_find(call->path);
    if (!asset) {
        return false;
    }
    if (call->req->verb == CAR_HTTP_GET || call->req->verb == CAR_HTTP_HEAD) {
        answer(call, asset);
    } else {
        car_respond_problem(call->exchange, 405, NULL, NULL, "Allow: GET, HEAD, OPTIONS\r\n");
    }
    return true;
}
