#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/proto/ws_handshake.h"

/* The input is a Sec-WebSocket-Extensions value, and a Sec-WebSocket-Key. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

/* What is agreed answers itself: read as an offer, the answer gives the same agreement. */
static void check_extensions(struct car_span offers) {
    struct car_pmd_params params;
    struct car_buf answer = CAR_BUF_INIT;
    int err = car_ws_negotiate(offers, &params);
    require(err == CAR_OK || (err == CAR_EINVAL && !params.on));
    car_ws_extension_write(&params, &answer);
    require(params.on == (answer.len > 0));
    if (params.on) {
        struct car_pmd_params again;
        require(params.server_bits >= 9 && params.server_bits <= 15);
        require(params.client_bits >= 8 && params.client_bits <= 15);
        require(car_ws_negotiate(car_buf_view(&answer), &again) == CAR_OK && again.on);
        require(again.server_bits == params.server_bits && again.client_bits == params.client_bits);
        require(again.server_answered == params.server_answered && again.client_answered == params.client_answered);
    }
    car_buf_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct car_span text = car_span_of((const char *)data, size);
    check_extensions(text);
    if (car_ws_key_valid(text)) {
        char out[CAR_WS_ACCEPT_LEN];
        car_ws_accept(text, out);
        require(out[CAR_WS_ACCEPT_LEN - 1] == '=');
    }
    return 0;
}
