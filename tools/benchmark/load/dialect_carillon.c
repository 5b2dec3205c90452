#include <string.h>

#include "dialect.h"

/* Frames are told apart by how they begin, as the servers write them: `type` comes first, without spaces. */

static enum frame_kind ws_kind(struct unit *unit) {
    const char *after;
    if (text_begins(unit->text, unit->len, "{\"type\":\"event_created\",\"event\":", &unit->event)) {
        return FRAME_EVENT;
    }
    if (text_begins(unit->text, unit->len, "{\"type\":\"ack\",\"ref\":", &after)) {
        return ack_read(unit, after, ",\"event\":");
    }
    if (text_begins(unit->text, unit->len, "{\"type\":\"connection_established\"", &after)) {
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
