#include "dialect.h"

/* A channel for each tenant; a message travels as it is, without anything around it. */

static enum frame_kind ws_kind(struct unit *unit) {
    unit->event = unit->text;
    return FRAME_EVENT;
}

static enum frame_kind sse_kind(const struct sse_event *event) {
    return event->data ? FRAME_EVENT : FRAME_OTHER;
}

static void http_form(struct form *form, const char *host, size_t message_len) {
    form->key = FORM_TENANT;
    bytes_text(&form->head, "POST /pub?id=");
    bytes_print(&form->middle, " HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", host,
                message_len);
}

const struct dialect dialect_nchan = {
    .name = "nchan",
    .bare = true,
    .ws_path = "/sub?id=",
    .sse_path = "/sub?id=",
    .ws_kind = ws_kind,
    .sse_kind = sse_kind,
    .http_form = http_form,
};
