#include "carillon/proto/http.h"

void car_http_head_write(struct car_buf *out, const struct car_http_request *req) {
    car_buf_span(out, req->method);
    car_buf_char(out, ' ');
    car_buf_span(out, req->target);
    car_buf_span(out, req->minor ? CAR_SPAN(" HTTP/1.1\r\n") : CAR_SPAN(" HTTP/1.0\r\n"));
    for (size_t i = 0; i < req->header_count; i++) {
        car_buf_span(out, req->headers[i].name);
        car_buf_char(out, ':'); /* without a blank: not longer than it was */
        car_buf_span(out, req->headers[i].value);
        CAR_BUF_LIT(out, "\r\n");
    }
    CAR_BUF_LIT(out, "\r\n");
}
