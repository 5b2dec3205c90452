#include <stdlib.h>

#include "carillon/base/buf.h"
#include "carillon/proto/engineio.h"

/* A payload: each packet that is read is written anew, and has to read the same. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void try_packet(struct car_span text, struct car_buf *scratch) {
    struct car_engineio_packet packet;
    struct car_engineio_packet again;
    struct car_buf out = CAR_BUF_INIT;
    struct car_buf back = CAR_BUF_INIT;
    if (car_engineio_read_polled(text, scratch, &packet) == 0) {
        require(packet.data.len < text.len && packet.type <= CAR_ENGINEIO_NOOP);
        if (packet.binary) {
            car_engineio_write_base64(&out, packet.data);
        } else {
            car_engineio_write(&out, packet.type, packet.data);
            require(car_span_eq(car_buf_view(&out), text));
        }
        require(out.len == text.len);
        require(car_engineio_read_polled(car_buf_view(&out), &back, &again) == 0);
        require(again.type == packet.type && again.binary == packet.binary && car_span_eq(again.data, packet.data));
    }
    car_buf_free(&out);
    car_buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = malloc(size ? size : 1);
    struct car_buf scratch = CAR_BUF_INIT;
    struct car_span text;
    size_t taken = 0;
    size_t count = 0;
    require(copy);
    if (size) {
        memcpy(copy, data, size);
    }
    struct car_span rest = car_span_of(copy, size);
    while (car_engineio_next(&rest, &text)) {
        taken += text.len;
        count++;
        try_packet(text, &scratch);
    }
    require(taken + count - 1 == size);
    car_buf_free(&scratch);
    free(copy);
    return 0;
}
