#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/proto/engineio.h"
#include "carillon/proto/ws.h"
#include "echo.h"

static void on_message(struct car_eio *eio, bool binary, struct car_span data) {
    struct car_buf packet = CAR_BUF_INIT;
    if (binary) {
        (void)car_eio_send_binary(eio, NULL, data);
        return;
    }
    car_engineio_write(&packet, CAR_ENGINEIO_MESSAGE, data);
    if (packet.failed) {
        car_eio_fail(eio, CAR_WS_INTERNAL, "out of memory");
    } else {
        (void)car_eio_send(eio, NULL, car_buf_view(&packet));
    }
    car_buf_free(&packet);
}

static void on_nothing(struct car_eio *eio) {
    (void)eio;
}

static void on_ended(struct car_eio *eio) {
    free(eio);
}

const struct car_eio_ops echo_engineio_ops = {
    .message = on_message, .drained = on_nothing, .upgraded = on_nothing, .leave = car_eio_go_away, .ended = on_ended};

struct car_eio *echo_engineio_open(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    (void)req;
    struct car_eio *eio = calloc(1, sizeof *eio);
    if (!eio) {
        car_eio_unavailable(exchange);
    }
    return eio;
}
