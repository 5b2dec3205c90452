#include "carillon/feed/wire.h"

#include <assert.h>

#include "carillon/base/blob.h"
#include "carillon/base/buf.h"
#include "carillon/feed/event.h"
#include "carillon/proto/deflate.h"
#include "carillon/proto/ws.h"

#define WS_HEAD "{\"type\":\"event_created\",\"event\":"
#define WS_FOOT "}"
#define LIT(s)  (sizeof(s) - 1)

/* Below this, compression without context saves less than it costs. */
#define DEFLATE_MIN 512

static size_t ws_len(const struct car_event *event) {
    size_t payload = LIT(WS_HEAD) + car_event_json(event).len + LIT(WS_FOOT);
    return car_ws_header_len(payload) + payload;
}

static char *ws_write(char *at, const struct car_event *event) {
    struct car_span json = car_event_json(event);
    at += car_ws_header_write(at, CAR_WS_TEXT, true, false, LIT(WS_HEAD) + json.len + LIT(WS_FOOT));
    memcpy(at, WS_HEAD, LIT(WS_HEAD));
    memcpy(at + LIT(WS_HEAD), json.ptr, json.len);
    memcpy(at + LIT(WS_HEAD) + json.len, WS_FOOT, LIT(WS_FOOT));
    return at + LIT(WS_HEAD) + json.len + LIT(WS_FOOT);
}

static struct car_blob *ws_events(struct car_event *const *events, size_t count) {
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += ws_len(events[i]);
    }
    struct car_blob *blob = car_blob_new(events[0]->tenant, len);
    char *at = blob ? blob->data : NULL;
    for (size_t i = 0; blob && i < count; i++) {
        at = ws_write(at, events[i]);
    }
    return blob;
}

static void ws_deflate_one(struct car_buf *out, struct car_buf *scratch, const struct car_event *event,
                           struct car_deflater *deflater) {
    struct car_span json = car_event_json(event);
    struct car_buf plain = CAR_BUF_INIT;
    scratch->len = 0;
    if (json.len >= DEFLATE_MIN && car_buf_reserve(&plain, LIT(WS_HEAD) + json.len + LIT(WS_FOOT)) == 0) {
        CAR_BUF_LIT(&plain, WS_HEAD);
        car_buf_span(&plain, json);
        CAR_BUF_LIT(&plain, WS_FOOT);
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
    } else if (car_buf_reserve(out, ws_len(event)) == 0) {
        out->len = (size_t)(ws_write(out->data + out->len, event) - out->data);
    }
}

static void sse_one(struct car_buf *out, const struct car_event *event) {
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
                                 struct car_deflater *deflater) {
    assert(count > 0);
    if (wire == CAR_WIRE_WS) {
        return ws_events(events, count);
    }
    struct car_buf out = CAR_BUF_INIT;
    struct car_buf scratch = CAR_BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        if (wire == CAR_WIRE_SSE) {
            sse_one(&out, events[i]);
        } else {
            ws_deflate_one(&out, &scratch, events[i], deflater);
        }
    }
    struct car_blob *blob = out.failed ? NULL : car_blob_copy(events[0]->tenant, out.data, out.len);
    car_buf_free(&out);
    car_buf_free(&scratch);
    return blob;
}
