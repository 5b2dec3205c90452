#include "feed_wire.h"

#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#define INFLATED_MAX   (4u << 20)
#define WS_LEN16       126
#define WS_LEN64       127
#define WS_TEXT_FIRST  0x81u
#define WS_TEXT_PACKED 0xc1u

/* What stands before an event in each namespace. */
#define SIO_ROOT  "42[\"event_created\","
#define SIO_NAMED FEED_SIO_NAMED

bool feed_take_lit(struct car_span *rest, const char *lit) {
    size_t len = strlen(lit);
    if (rest->len < len || memcmp(rest->ptr, lit, len) != 0) {
        return false;
    }
    *rest = car_span_of(rest->ptr + len, rest->len - len);
    return true;
}

/* An event of a stream, after WHATWG HTML section 9.2.6: three fields and an empty line. The id has to be the event's
 * seq, which the caller sees in the JSON. */
static bool sse_next(struct car_span *rest, struct car_buf *json) {
    if (!feed_take_lit(rest, "id: ")) {
        return false;
    }
    char seq[40];
    size_t digits = 0;
    while (rest->len && rest->ptr[0] >= '0' && rest->ptr[0] <= '9' && digits < 20) {
        seq[digits++] = rest->ptr[0];
        *rest = car_span_of(rest->ptr + 1, rest->len - 1);
    }
    seq[digits] = '\0';
    if (!feed_take_lit(rest, "\nevent: event_created\ndata: ")) {
        return false;
    }
    const char *end = memchr(rest->ptr, '\n', rest->len);
    if (!end) {
        return false;
    }
    car_buf_put(json, rest->ptr, (size_t)(end - rest->ptr));
    *rest = car_span_of(end, rest->len - (size_t)(end - rest->ptr));
    char member[64];
    int len = snprintf(member, sizeof member, ",\"seq\":%s,", seq);
    return digits && !memchr(json->data, '\r', json->len) && memmem(json->data, json->len, member, (size_t)len) &&
           feed_take_lit(rest, "\n\n");
}

/* With zlib alone, so that nothing of what is tested takes part (RFC 7692, section 7.2.2). */
static bool inflate_to(struct car_span packed, struct car_buf *out) {
    z_stream z = {0};
    static const unsigned char tail[4] = {0, 0, 0xff, 0xff};
    if (inflateInit2(&z, -15) != Z_OK || car_buf_reserve(out, INFLATED_MAX) != 0) {
        return false;
    }
    z.next_out = (unsigned char *)out->data + out->len;
    z.avail_out = INFLATED_MAX;
    z.next_in = (unsigned char *)(uintptr_t)packed.ptr;
    z.avail_in = (unsigned)packed.len;
    bool ok = inflate(&z, Z_SYNC_FLUSH) == Z_OK && z.avail_in == 0;
    z.next_in = (unsigned char *)(uintptr_t)tail;
    z.avail_in = sizeof tail;
    ok = ok && inflate(&z, Z_SYNC_FLUSH) == Z_OK && z.avail_in == 0;
    out->len += INFLATED_MAX - z.avail_out;
    inflateEnd(&z);
    return ok;
}

/* The payload of an unmasked text frame, with the shortest form of its length (RFC 6455, section 5.2). */
static bool ws_frame(struct car_span *rest, struct car_span *payload, bool *packed) {
    const unsigned char *p = (const unsigned char *)rest->ptr;
    if (rest->len < 2 || (p[0] != WS_TEXT_FIRST && p[0] != WS_TEXT_PACKED)) {
        return false;
    }
    *packed = p[0] == WS_TEXT_PACKED;
    size_t head = p[1] == WS_LEN64 ? 10 : p[1] == WS_LEN16 ? 4 : 2;
    uint64_t len = p[1];
    if (rest->len < head) {
        return false;
    }
    for (size_t i = 2; i < head; i++) {
        len = i == 2 ? p[i] : len << 8 | p[i];
    }
    if (p[1] > WS_LEN64 || (head == 4 && len < 126) || (head == 10 && len < 65536) || len > rest->len - head) {
        return false;
    }
    *payload = car_span_of(rest->ptr + head, (size_t)len);
    *rest = car_span_of(payload->ptr + len, rest->len - head - (size_t)len);
    return true;
}

/* A Socket.IO event with an offset, which has to be the event's seq. */
static bool sio_text(struct car_span text, const char *head, struct car_buf *json) {
    const char *comma = text.len ? memrchr(text.ptr, ',', text.len) : NULL;
    if (!feed_take_lit(&text, head) || !comma || comma < text.ptr) {
        return false;
    }
    car_buf_put(json, text.ptr, (size_t)(comma - text.ptr));
    struct car_span offset = car_span_of(comma, text.len - (size_t)(comma - text.ptr));
    char member[64];
    if (offset.len < 5 || !feed_take_lit(&offset, ",\"") || memcmp(offset.ptr + offset.len - 2, "\"]", 2) != 0) {
        return false;
    }
    int len = snprintf(member, sizeof member, ",\"seq\":%.*s,", (int)offset.len - 2, offset.ptr);
    return memmem(json->data, json->len, member, (size_t)len) != NULL;
}

static bool plain_text(struct car_span text, struct car_buf *json) {
    bool ok =
        feed_take_lit(&text, "{\"type\":\"event_created\",\"event\":") && text.len > 1 && text.ptr[text.len - 1] == '}';
    if (ok) {
        car_buf_put(json, text.ptr, text.len - 1);
    }
    return ok;
}

static bool text_of(enum car_wire wire, struct car_span text, struct car_buf *json) {
    if (wire >= CAR_WIRE_SIO_ROOT) {
        return sio_text(text, wire >= CAR_WIRE_SIO_NAMED ? SIO_NAMED : SIO_ROOT, json);
    }
    return plain_text(text, json);
}

static bool ws_next(enum car_wire wire, struct car_span *rest, struct car_buf *json) {
    bool deflate =
        wire == CAR_WIRE_WS_DEFLATE || wire == CAR_WIRE_SIO_ROOT_WS_DEFLATE || wire == CAR_WIRE_SIO_NAMED_WS_DEFLATE;
    struct car_span payload;
    struct car_buf plain = CAR_BUF_INIT;
    bool packed = false;
    bool ok = ws_frame(rest, &payload, &packed) && (deflate || !packed);
    if (ok && packed) {
        ok = inflate_to(payload, &plain);
        payload = car_buf_view(&plain);
    }
    ok = ok && text_of(wire, payload, json);
    car_buf_free(&plain);
    return ok;
}

/* The packets of a payload, with one character between two of them. */
static bool payload_next(enum car_wire wire, struct car_span *rest, struct car_buf *json) {
    const char *end = memchr(rest->ptr, 0x1e, rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    bool ok = text_of(wire, car_span_of(rest->ptr, len), json) && (!end || len + 1 < rest->len);
    *rest = car_span_of(rest->ptr + len + (end != NULL), rest->len - len - (end != NULL));
    return ok;
}

bool feed_wire_next(enum car_wire wire, struct car_span *rest, struct car_buf *json, bool *bad) {
    *bad = false;
    json->len = 0;
    if (rest->len == 0) {
        return false;
    }
    bool ok = wire == CAR_WIRE_SSE                                      ? sse_next(rest, json)
              : wire == CAR_WIRE_SIO_ROOT || wire == CAR_WIRE_SIO_NAMED ? payload_next(wire, rest, json)
                                                                        : ws_next(wire, rest, json);
    *bad = !ok;
    return ok;
}
