#include "carillon/net/response.h"

#include "carillon/base/buf.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/proto/http.h"

static bool bodiless(int status) {
    return status == 204 || status == 304;
}

static void write_head(struct car_buf *out, const struct car_exchange *exchange, const struct car_response *r) {
    car_http_status_line(out, r->status);
    if (r->type) {
        CAR_BUF_LIT(out, "Content-Type: ");
        car_buf_span(out, car_span_cstr(r->type));
        CAR_BUF_LIT(out, "\r\n");
    }
    if (!bodiless(r->status) && !r->endless) {
        CAR_BUF_LIT(out, "Content-Length: ");
        car_buf_u64(out, r->body.len);
        CAR_BUF_LIT(out, "\r\n");
    }
    if (!exchange->keep_alive) {
        CAR_BUF_LIT(out, "Connection: close\r\n");
    } else if (exchange->http10) {
        CAR_BUF_LIT(out, "Connection: keep-alive\r\n");
    }
    if (r->headers) {
        car_buf_span(out, car_span_cstr(r->headers));
    }
    car_buf_span(out, car_buf_view(&exchange->headers));
    CAR_BUF_LIT(out, "\r\n");
}

void car_respond(struct car_exchange *exchange, const struct car_response *response) {
    struct car_buf *head = car_net_scratch(exchange->worker);
    write_head(head, exchange, response);
    if (head->failed) {
        car_exchange_abort(exchange);
        return;
    }
    bool content = exchange->verb != CAR_HTTP_HEAD && !bodiless(response->status);
    car_exchange_finish(exchange, response->owner, car_buf_view(head), content ? response->body : car_span_of(NULL, 0));
}
