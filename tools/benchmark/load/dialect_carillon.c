#include <string.h>

#include "dialect.h"

/* Frames are told apart by how they begin, as the servers write them: `type` comes first, without spaces. */

static enum frame_kind ws_kind(const char *text, size_t len, uint64_t *ref) {
    const char *after;
    if (text_begins(text, len, "{\"type\":\"event_created\",", &after)) {
        return FRAME_EVENT;
    }
    if (text_begins(text, len, "{\"type\":\"ack\",\"ref\":", &after)) {
        *ref = 0;
        for (; after < text + len && *after >= '0' && *after <= '9'; after++) {
            *ref = *ref * 10 + (uint64_t)(*after - '0');
        }
        return FRAME_ACK;
    }
    if (text_begins(text, len, "{\"type\":\"connection_established\"", &after)) {
        return FRAME_ESTABLISHED;
    }
    return FRAME_STRANGE;
}

static bool named(const struct sse_event *event, const char *name) {
    return event->name_len == strlen(name) && memcmp(event->name, name, event->name_len) == 0;
}

static enum frame_kind sse_kind(const struct sse_event *event) {
    if (!event->data) {
        return FRAME_OTHER; /* a comment, or `retry` */
    }
    if (named(event, "event_created")) {
        return FRAME_EVENT;
    }
    return named(event, "connection_established") ? FRAME_ESTABLISHED : FRAME_STRANGE;
}

static void ws_form(struct form *form) {
    form->key = FORM_REF;
    form->ws = true;
    bytes_text(&form->head, "{\"type\":\"post_event\",\"ref\":");
    bytes_text(&form->middle, ",\"message\":\"");
    bytes_text(&form->tail, "\"}");
}

const struct dialect dialect_carillon = {
    .name = "carillon",
    .greets = true,
    .ws_path = "/ws?tenant=",
    .sse_path = "/api/v1/events/stream?tenant=",
    .ws_kind = ws_kind,
    .sse_kind = sse_kind,
    .http_form = form_api_events,
    .ws_form = ws_form,
};
