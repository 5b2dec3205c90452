#include "carillon/proto/engineio.h"

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"

int car_engineio_read(struct car_span text, struct car_engineio_packet *packet) {
    if (text.len == 0 || text.ptr[0] < '0' || text.ptr[0] > '0' + CAR_ENGINEIO_NOOP) {
        return CAR_EPROTO;
    }
    packet->type = (enum car_engineio_type)(text.ptr[0] - '0');
    packet->binary = false;
    packet->data = car_span_of(text.ptr + 1, text.len - 1);
    return 0;
}

int car_engineio_read_polled(struct car_span text, struct car_buf *scratch, struct car_engineio_packet *packet) {
    if (text.len == 0 || text.ptr[0] != 'b') {
        return car_engineio_read(text, packet);
    }
    scratch->len = 0;
    int err = car_base64_read(car_span_of(text.ptr + 1, text.len - 1), scratch);
    if (err) {
        return err == CAR_ENOMEM ? err : CAR_EPROTO;
    }
    packet->type = CAR_ENGINEIO_MESSAGE;
    packet->binary = true;
    packet->data = scratch->len ? car_buf_view(scratch) : car_span_of("", 0);
    return 0;
}

bool car_engineio_next(struct car_span *rest, struct car_span *text) {
    if (!rest->ptr) {
        return false;
    }
    const char *end = memchr(rest->ptr, CAR_ENGINEIO_SEPARATOR, rest->len);
    *text = car_span_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = end ? car_span_of(end + 1, rest->len - text->len - 1) : car_span_of(NULL, 0);
    return true;
}

void car_engineio_write(struct car_buf *out, enum car_engineio_type type, struct car_span data) {
    car_buf_char(out, (char)('0' + type));
    car_buf_span(out, data);
}

void car_engineio_write_base64(struct car_buf *out, struct car_span bytes) {
    car_buf_char(out, 'b');
    if (bytes.len && car_buf_reserve(out, (bytes.len + 2) / 3 * 4) == 0) {
        out->len += car_base64_write(bytes.ptr, bytes.len, out->data + out->len);
    }
}

void car_engineio_write_open(struct car_buf *out, const struct car_engineio_handshake *handshake) {
    car_buf_printf(out,
                   "0{\"sid\":\"%.*s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,\"maxPayload\":%zu}",
                   (int)handshake->sid.len, handshake->sid.ptr, handshake->upgrades ? "\"websocket\"" : "",
                   (unsigned)handshake->ping_interval_ms, (unsigned)handshake->ping_timeout_ms, handshake->max_payload);
}

struct car_span car_engineio_error_json(enum car_engineio_error error) {
    static const struct car_span TEXTS[] = {
        [CAR_ENGINEIO_UNKNOWN_TRANSPORT] = CAR_SPAN_INIT("{\"code\":0,\"message\":\"Transport unknown\"}"),
        [CAR_ENGINEIO_UNKNOWN_SID] = CAR_SPAN_INIT("{\"code\":1,\"message\":\"Session ID unknown\"}"),
        [CAR_ENGINEIO_BAD_METHOD] = CAR_SPAN_INIT("{\"code\":2,\"message\":\"Bad handshake method\"}"),
        [CAR_ENGINEIO_BAD_REQUEST] = CAR_SPAN_INIT("{\"code\":3,\"message\":\"Bad request\"}"),
        [CAR_ENGINEIO_FORBIDDEN] = CAR_SPAN_INIT("{\"code\":4,\"message\":\"Forbidden\"}"),
        [CAR_ENGINEIO_UNSUPPORTED_VERSION] = CAR_SPAN_INIT("{\"code\":5,\"message\":\"Unsupported protocol version\"}"),
    };
    return TEXTS[error];
}
