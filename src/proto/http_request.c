#include "carillon/proto/http.h"

/* What says where the body ends, and whether it may come: it is there, and its length known. */
static bool is_framing(struct car_span name) {
    return car_span_ieq(name, CAR_SPAN("Content-Length")) || car_span_ieq(name, CAR_SPAN("Transfer-Encoding")) ||
           car_span_ieq(name, CAR_SPAN("Expect"));
}

void car_http_request_write(struct car_buf *out, const struct car_http_request *req) {
    car_buf_span(out, req->method);
    car_buf_char(out, ' ');
    car_buf_span(out, req->target);
    car_buf_span(out, req->minor ? CAR_SPAN(" HTTP/1.1\r\n") : CAR_SPAN(" HTTP/1.0\r\n"));
    for (size_t i = 0; i < req->header_count; i++) {
        if (!is_framing(req->headers[i].name)) {
            car_buf_span(out, req->headers[i].name);
            car_buf_char(out, ':'); /* without a blank: not longer than it was */
            car_buf_span(out, req->headers[i].value);
            CAR_BUF_LIT(out, "\r\n");
        }
    }
    if (req->body.len) {
        CAR_BUF_LIT(out, "Content-Length:");
        car_buf_u64(out, req->body.len);
        CAR_BUF_LIT(out, "\r\n");
    }
    CAR_BUF_LIT(out, "\r\n");
    car_buf_span(out, req->body);
}
