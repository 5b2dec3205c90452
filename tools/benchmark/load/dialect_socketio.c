#include "dialect.h"

/* Socket.IO 5 in Engine.IO 4: the first digit is Engine.IO's packet type, the second one Socket.IO's. */

static enum frame_kind ws_kind(struct unit *unit) {
    const char *text = unit->text;
    size_t len = unit->len;
    const char *after;
    if (text_begins(text, len, "42[\"event_created\",", &unit->event)) {
        return FRAME_EVENT;
    }
    if (text_begins(text, len, "43", &after)) {
        return ack_read(unit, after, "[{\"event\":");
    }
    if (text_begins(text, len, "2", &after) && len == 1) {
        return FRAME_PING;
    }
    if (text_begins(text, len, "0{", &after)) {
        return FRAME_HELLO;
    }
    if (text_begins(text, len, "40", &after)) {
        return FRAME_ESTABLISHED;
    }
    /* Servers greet with events of their own. */
    return text_begins(text, len, "42[\"", &after) ? FRAME_OTHER : FRAME_STRANGE;
}

static void hello(struct bytes *text, uint32_t tenant) {
    bytes_print(text, "40{\"tenant\":\"t%u\"}", tenant);
}

static void ws_form(struct form *form) {
    form->key = FORM_REF;
    form->ws = true;
    bytes_text(&form->head, "42");
    bytes_text(&form->middle, "[\"post_event\",{\"message\":\"");
    bytes_text(&form->tail, "\"}]");
}

const struct dialect dialect_socketio = {
    .name = "socketio",
    .greets = true,
    .ws_path = "/socket.io/?EIO=4&transport=websocket&tenant=",
    .pong = "3",
    .ws_kind = ws_kind,
    .hello = hello,
    .http_form = form_api_events,
    .ws_form = ws_form,
};
