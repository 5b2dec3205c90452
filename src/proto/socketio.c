#include "carillon/proto/socketio.h"

#include "carillon/base/digits.h"
#include "carillon/base/err.h"

static bool is_binary(enum car_socketio_type type) {
    return type == CAR_SOCKETIO_BINARY_EVENT || type == CAR_SOCKETIO_BINARY_ACK;
}

/* Takes a run of digits off the front of *rest. */
static struct car_span take_digits(struct car_span *rest) {
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] >= '0' && rest->ptr[n] <= '9') {
        n++;
    }
    struct car_span digits = car_span_of(rest->ptr, n);
    *rest = car_span_of(rest->ptr + n, rest->len - n);
    return digits;
}

static int take_type(struct car_span *rest, struct car_socketio_packet *packet) {
    if (rest->len == 0 || rest->ptr[0] < '0' || rest->ptr[0] > '0' + CAR_SOCKETIO_BINARY_ACK) {
        return CAR_EPROTO;
    }
    packet->type = (enum car_socketio_type)(rest->ptr[0] - '0');
    *rest = car_span_of(rest->ptr + 1, rest->len - 1);
    return 0;
}

static int take_attachments(struct car_span *rest, unsigned max, struct car_socketio_packet *packet) {
    uint64_t count;
    if (!is_binary(packet->type)) {
        return 0;
    }
    struct car_span digits = take_digits(rest);
    if (digits.len == 0 || rest->len == 0 || rest->ptr[0] != '-') {
        return CAR_EPROTO;
    }
    *rest = car_span_of(rest->ptr + 1, rest->len - 1);
    if (car_span_u64(digits, max, &count) != 0) {
        return CAR_ETOOBIG;
    }
    packet->attachments = (unsigned)count;
    return 0;
}

static void take_namespace(struct car_span *rest, struct car_socketio_packet *packet) {
    packet->nsp = CAR_SPAN("/");
    if (rest->len == 0 || rest->ptr[0] != '/') {
        return;
    }
    const char *comma = memchr(rest->ptr, ',', rest->len);
    size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
    const char *mark = memchr(rest->ptr, '?', len);
    packet->nsp = car_span_of(rest->ptr, mark ? (size_t)(mark - rest->ptr) : len);
    if (mark) {
        packet->query = car_span_of(mark + 1, len - packet->nsp.len - 1);
    }
    size_t used = comma ? len + 1 : len;
    *rest = car_span_of(rest->ptr + used, rest->len - used);
}

static int take_id(struct car_span *rest, struct car_socketio_packet *packet) {
    struct car_span digits = take_digits(rest);
    packet->has_id = digits.len > 0;
    return packet->has_id && car_span_u64(digits, CAR_SOCKETIO_ID_MAX, &packet->id) != 0 ? CAR_EPROTO : 0;
}

/* Names that mean something else to the libraries. */
static bool is_reserved(struct car_span literal) {
    static const struct car_span NAMES[] = {
        CAR_SPAN_INIT("connect"),       CAR_SPAN_INIT("connect_error"), CAR_SPAN_INIT("disconnect"),
        CAR_SPAN_INIT("disconnecting"), CAR_SPAN_INIT("newListener"),   CAR_SPAN_INIT("removeListener"),
    };
    struct car_buf decoded = CAR_BUF_INIT;
    struct car_span name = car_span_of(literal.ptr + 1, literal.len - 2);
    bool found = false;
    if (memchr(name.ptr, '\\', name.len)) {
        found = car_json_string_decode(literal, &decoded) != 0;
        name = car_buf_view(&decoded);
    }
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        found = found || car_span_eq(name, NAMES[i]);
    }
    car_buf_free(&decoded);
    return found;
}

static bool is_event(const struct car_json_value *data) {
    struct car_span rest = data->raw;
    struct car_json_value name;
    return data->kind == CAR_JSON_ARRAY && car_json_next(&rest, &name) &&
           (name.kind == CAR_JSON_NUMBER || (name.kind == CAR_JSON_STRING && !is_reserved(name.raw)));
}

static bool is_fitting(enum car_socketio_type type, const struct car_json_value *data) {
    switch (type) {
    case CAR_SOCKETIO_CONNECT:
        return data->kind == CAR_JSON_ABSENT || data->kind == CAR_JSON_OBJECT;
    case CAR_SOCKETIO_DISCONNECT:
        return data->kind == CAR_JSON_ABSENT;
    case CAR_SOCKETIO_CONNECT_ERROR:
        return data->kind == CAR_JSON_OBJECT || data->kind == CAR_JSON_STRING;
    case CAR_SOCKETIO_EVENT:
    case CAR_SOCKETIO_BINARY_EVENT:
        return is_event(data);
    default:
        return data->kind == CAR_JSON_ARRAY;
    }
}

int car_socketio_read(struct car_span text, unsigned max_attachments, struct car_socketio_packet *packet) {
    struct car_span rest = text;
    *packet = (struct car_socketio_packet){0};
    int err = take_type(&rest, packet);
    err = err ? err : take_attachments(&rest, max_attachments, packet);
    if (!err) {
        take_namespace(&rest, packet);
        err = take_id(&rest, packet);
    }
    if (!err && rest.len) {
        err = car_json_pick(rest, NULL, 0, &packet->data);
    }
    return err || is_fitting(packet->type, &packet->data) ? err : CAR_EPROTO;
}

void car_socketio_event(const struct car_socketio_packet *packet, struct car_json_value *name, struct car_span *args) {
    struct car_span rest = packet->data.raw;
    const char *end = packet->data.raw.ptr + packet->data.raw.len - 1; /* the closing bracket */
    struct car_json_value argument;
    (void)car_json_next(&rest, name);
    bool any = car_json_next(&rest, &argument);
    *args = any ? car_span_of(argument.raw.ptr, (size_t)(end - argument.raw.ptr)) : car_span_of(NULL, 0);
}

void car_socketio_write_head(struct car_buf *out, enum car_socketio_type type, unsigned attachments,
                             struct car_span nsp, const uint64_t *id) {
    car_buf_char(out, (char)('0' + type));
    if (is_binary(type)) {
        car_buf_u64(out, attachments);
        car_buf_char(out, '-');
    }
    if (!car_span_eq(nsp, CAR_SPAN("/"))) {
        car_buf_span(out, nsp);
        car_buf_char(out, ',');
    }
    if (id) {
        car_buf_u64(out, *id);
    }
}
