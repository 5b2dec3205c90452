#include "carillon/feed/wire.h"

#include <assert.h>

#include "carillon/base/blob.h"
#include "carillon/base/buf.h"
#include "carillon/base/digits.h"
#include "carillon/feed/event.h"
#include "carillon/proto/deflate.h"
#include "carillon/proto/engineio.h"
#include "carillon/proto/socketio.h"
#include "carillon/proto/ws.h"

#define PLAIN_HEAD "{\"type\":\"event_created\",\"event\":"
#define SIO_EVENT  "[\"event_created\","
#define SIO_HEAD   "42" SIO_EVENT

/* Below this, compression without context saves less than it costs. */
#define DEFLATE_MIN 512

/* How the text of an event is packed. */
enum packing { FRAME, DEFLATED, STREAM, PAYLOAD };

static const enum packing PACKINGS[CAR_WIRES] = {
    [CAR_WIRE_WS] = FRAME,          [CAR_WIRE_WS_DEFLATE] = DEFLATED, [CAR_WIRE_SSE] = STREAM,
    [CAR_WIRE_SIO_ROOT] = PAYLOAD,  [CAR_WIRE_SIO_ROOT_WS] = FRAME,   [CAR_WIRE_SIO_ROOT_WS_DEFLATE] = DEFLATED,
    [CAR_WIRE_SIO_NAMED] = PAYLOAD, [CAR_WIRE_SIO_NAMED_WS] = FRAME,  [CAR_WIRE_SIO_NAMED_WS_DEFLATE] = DEFLATED,
};

/* What stands before the event's JSON, and behind it: the offset by which a Socket.IO client recovers is the seq. */
struct text {
    struct car_span head;
    bool offset;
};

void car_wire_named_head(struct car_buf *out, struct car_span nsp) {
    car_engineio_write(out, CAR_ENGINEIO_MESSAGE, car_span_of(NULL, 0));
    car_socketio_write_head(out, CAR_SOCKETIO_EVENT, 0, nsp, NULL);
    CAR_BUF_LIT(out, SIO_EVENT);
}

static struct text text_of(enum car_wire wire, const struct car_wire_kit *kit) {
    if (wire >= CAR_WIRE_SIO_NAMED) {
        return (struct text){kit->named_head, true};
    }
    if (wire >= CAR_WIRE_SIO_ROOT) {
        return (struct text){CAR_SPAN(SIO_HEAD), true};
    }
    return (struct text){CAR_SPAN(PLAIN_HEAD), false};
}

/* The event's text, in three pieces. */
struct pieces {
    struct car_span head, json, foot;
    size_t len;
    char digits[CAR_U64_DIGITS + 4];
};

/* `out` stays where it is: the foot may lie inside. */
static void pieces_of(const struct text *text, const struct car_event *event, struct pieces *out) {
    out->head = text->head;
    out->json = car_event_json(event);
    if (text->offset) {
        char *end = out->digits + sizeof out->digits - 2;
        memcpy(end, "\"]", 2);
        char *first = car_digits_before(end, event->seq);
        memcpy(first - 2, ",\"", 2);
        out->foot = car_span_of(first - 2, (size_t)(end + 2 - (first - 2)));
    } else {
        out->foot = CAR_SPAN("}");
    }
    out->len = out->head.len + out->json.len + out->foot.len;
}

static char *put(char *at, struct car_span bytes) {
    memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

static char *put_pieces(char *at, const struct pieces *pieces) {
    return put(put(put(at, pieces->head), pieces->json), pieces->foot);
}

static char *put_frame(char *at, const struct pieces *pieces) {
    at += car_ws_header_write(at, CAR_WS_TEXT, true, false, pieces->len);
    return put_pieces(at, pieces);
}

static struct car_blob *frames(const struct text *text, struct car_event *const *events, size_t count) {
    struct pieces pieces;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        pieces_of(text, events[i], &pieces);
        len += car_ws_header_len(pieces.len) + pieces.len;
    }
    struct car_blob *blob = car_blob_new(events[0]->tenant, len);
    char *at = blob ? blob->data : NULL;
    for (size_t i = 0; blob && i < count; i++) {
        pieces_of(text, events[i], &pieces);
        at = put_frame(at, &pieces);
    }
    return blob;
}

static struct car_blob *payload(const struct text *text, struct car_event *const *events, size_t count) {
    struct pieces pieces;
    size_t len = count - 1;
    for (size_t i = 0; i < count; i++) {
        pieces_of(text, events[i], &pieces);
        len += pieces.len;
    }
    struct car_blob *blob = car_blob_new(events[0]->tenant, len);
    char *at = blob ? blob->data : NULL;
    for (size_t i = 0; blob && i < count; i++) {
        if (i > 0) {
            *at++ = CAR_ENGINEIO_SEPARATOR;
        }
        pieces_of(text, events[i], &pieces);
        at = put_pieces(at, &pieces);
    }
    return blob;
}

static void deflated_one(struct car_buf *out, struct car_buf *scratch, const struct pieces *pieces,
                         struct car_deflater *deflater) {
    struct car_buf plain = CAR_BUF_INIT;
    scratch->len = 0;
    if (pieces->json.len >= DEFLATE_MIN && car_buf_reserve(&plain, pieces->len) == 0) {
        plain.len = (size_t)(put_pieces(plain.data, pieces) - plain.data);
        if (car_deflate(deflater, CAR_DEFLATE_BITS_MAX, car_buf_view(&plain), scratch) != 0 ||
            scratch->len >= plain.len) {
            scratch->len = 0;
        }
    }
    car_buf_free(&plain);
    if (scratch->len) {
        char head[CAR_WS_HEADER_MAX];
        car_buf_put(out, head, car_ws_header_write(head, CAR_WS_TEXT, true, true, scratch->len));
        car_buf_span(out, car_buf_view(scratch));
    } else if (car_buf_reserve(out, CAR_WS_HEADER_MAX + pieces->len) == 0) {
        out->len = (size_t)(put_frame(out->data + out->len, pieces) - out->data);
    }
}

static void stream_one(struct car_buf *out, const struct car_event *event) {
    /* The JSON has no line end in it, so it is one data line. */
    CAR_BUF_LIT(out, "id: ");
    car_buf_u64(out, event->seq);
    CAR_BUF_LIT(out, "\nevent: event_created\ndata: ");
    car_buf_span(out, car_event_json(event));
    CAR_BUF_LIT(out, "\n\n");
}

size_t car_wire_cut(struct car_event *const *events, size_t count, size_t bytes) {
    size_t used = 0;
    size_t n = 0;
    while (n < count && (n == 0 || used + car_event_json(events[n]).len <= bytes)) {
        used += car_event_json(events[n++]).len;
    }
    return n;
}

struct car_blob *car_wire_events(enum car_wire wire, struct car_event *const *events, size_t count,
                                 const struct car_wire_kit *kit) {
    struct text text = text_of(wire, kit);
    assert(count > 0);
    if (PACKINGS[wire] == FRAME) {
        return frames(&text, events, count);
    }
    if (PACKINGS[wire] == PAYLOAD) {
        return payload(&text, events, count);
    }
    struct car_buf out = CAR_BUF_INIT;
    struct car_buf scratch = CAR_BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        if (PACKINGS[wire] == STREAM) {
            stream_one(&out, events[i]);
        } else {
            struct pieces pieces;
            pieces_of(&text, events[i], &pieces);
            deflated_one(&out, &scratch, &pieces, kit->deflater);
        }
    }
    struct car_blob *blob = out.failed ? NULL : car_blob_copy(events[0]->tenant, out.data, out.len);
    car_buf_free(&out);
    car_buf_free(&scratch);
    return blob;
}
