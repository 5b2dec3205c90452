#include "carillon/net/response.h"

#include "carillon/base/blob.h"
#include "carillon/base/buf.h"
#include "carillon/net/exchange.h"
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
        car_buf_u64(out, r->blob ? r->blob->len : r->body.len);
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
    if (atomic_load_explicit(&car_net_local(exchange->worker)->net->draining, memory_order_relaxed)) {
        exchange->keep_alive = false; /* its connection will be told to leave; a client that knows asks elsewhere */
    }
    write_head(head, exchange, response);
    if (head->failed) {
        car_exchange_abort(exchange);
        return;
    }
    car_exchange_tell(exchange, response->status);
    bool content = exchange->verb != CAR_HTTP_HEAD && !bodiless(response->status);
    if (content && response->blob) {
        car_exchange_finish_with(exchange, response->owner, car_buf_view(head), response->blob);
    } else {
        car_exchange_finish(exchange, response->owner, car_buf_view(head),
                            content ? response->body : car_span_of(NULL, 0));
    }
}
