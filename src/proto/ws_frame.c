#include "carillon/proto/ws.h"

#include <assert.h>

enum { FIN = 0x80, RSV1 = 0x40 };

bool car_ws_close_code_valid(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

size_t car_ws_header_len(uint64_t payload_len) {
    if (payload_len <= 125) {
        return 2;
    }
    return payload_len <= 0xffff ? 4 : 10;
}

size_t car_ws_header_write(char out[CAR_WS_HEADER_MAX], enum car_ws_opcode op, bool fin, bool rsv1,
                           uint64_t payload_len) {
    size_t head_len = car_ws_header_len(payload_len);
    assert(payload_len >> 63 == 0);
    out[0] = (char)((fin ? FIN : 0) | (rsv1 ? RSV1 : 0) | (int)op);
    if (head_len == 2) {
        out[1] = (char)payload_len;
        return head_len;
    }
    out[1] = head_len == 4 ? 126 : 127;
    for (size_t i = head_len; i > 2; i--) {
        out[i - 1] = (char)(payload_len & 0xff);
        payload_len >>= 8;
    }
    return head_len;
}

/* The frame's length with its head, which is whole. */
static uint64_t frame_len(const char *frame) {
    const unsigned char *head = (const unsigned char *)frame;
    size_t head_len = head[1] <= 125 ? 2 : head[1] == 126 ? 4 : 10;
    uint64_t payload = head_len == 2 ? head[1] : 0;
    for (size_t i = 2; i < head_len; i++) {
        payload = payload << 8 | head[i];
    }
    return head_len + payload;
}

size_t car_ws_frame_rest(const char *frames, size_t len, size_t written) {
    uint64_t at = 0;
    while (at < written && at < len) {
        at += frame_len(frames + at);
    }
    assert(at <= len);
    return (size_t)at - written;
}

/* The longest prefix of valid UTF-8 that has at most `max` bytes and splits no character. */
static size_t cut_at_character(struct car_span text, size_t max) {
    if (text.len <= max) {
        return text.len;
    }
    size_t len = max;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

size_t car_ws_close_write(char out[CAR_WS_CLOSE_MAX], unsigned code, struct car_span reason) {
    if (code == CAR_WS_NO_STATUS) {
        return car_ws_header_write(out, CAR_WS_CLOSE, true, false, 0);
    }
    assert(car_ws_close_code_valid(code));
    size_t reason_len = cut_at_character(reason, CAR_WS_REASON_MAX);
    size_t at = car_ws_header_write(out, CAR_WS_CLOSE, true, false, 2 + reason_len);
    out[at++] = (char)(code >> 8);
    out[at++] = (char)(code & 0xff);
    if (reason_len > 0) {
        memcpy(out + at, reason.ptr, reason_len);
    }
    return at + reason_len;
}
