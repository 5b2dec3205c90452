#include "carillon/proto/sse.h"

#include "carillon/base/err.h"

static bool has_line_end(struct car_span s) {
    return s.len > 0 && (memchr(s.ptr, '\n', s.len) || memchr(s.ptr, '\r', s.len));
}

/* Length of the text before its first CR or LF. */
static size_t line_len(struct car_span text) {
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '\n' && text.ptr[len] != '\r') {
        len++;
    }
    return len;
}

/* Appends `prefix` and a line of the text, for each of its lines; the empty text is one empty line, and a line end at
 * the text's end begins another. */
static void put_lines(struct car_buf *out, struct car_span prefix, struct car_span text) {
    for (;;) {
        size_t len = line_len(text);
        car_buf_span(out, prefix);
        car_buf_put(out, text.ptr, len);
        car_buf_char(out, '\n');
        if (len == text.len) {
            return;
        }
        bool crlf = text.ptr[len] == '\r' && len + 1 < text.len && text.ptr[len + 1] == '\n';
        size_t eaten = len + (crlf ? 2 : 1);
        text = car_span_of(text.ptr + eaten, text.len - eaten);
    }
}

int car_sse_event(struct car_buf *out, struct car_span id, struct car_span event, struct car_span data) {
    if (has_line_end(id) || has_line_end(event) || (id.len > 0 && memchr(id.ptr, '\0', id.len))) {
        return CAR_EINVAL;
    }
    if (id.ptr) {
        put_lines(out, CAR_SPAN("id: "), id);
    }
    if (event.ptr) {
        put_lines(out, CAR_SPAN("event: "), event);
    }
    if (data.ptr) {
        put_lines(out, CAR_SPAN("data: "), data);
    }
    car_buf_char(out, '\n');
    return out->failed ? CAR_ENOMEM : CAR_OK;
}

void car_sse_comment(struct car_buf *out, struct car_span text) {
    put_lines(out, CAR_SPAN(": "), text);
    car_buf_char(out, '\n');
}

void car_sse_retry(struct car_buf *out, uint64_t milliseconds) {
    CAR_BUF_LIT(out, "retry: ");
    car_buf_u64(out, milliseconds);
    CAR_BUF_LIT(out, "\n\n");
}
