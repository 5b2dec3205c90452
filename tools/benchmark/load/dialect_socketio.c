#include "dialect.h"

/* Socket.IO 5 in Engine.IO 4: the first digit is Engine.IO's packet type, the second one Socket.IO's. The namespace is
 * the root, and the handshake's URL names the tenant. */

/* Packets that come at most once in a while. */
static enum frame_kind rare_kind(const struct unit *unit) {
    static const struct {
        const char *start;
        enum frame_kind kind;
    } starts[] = {
        {"0{", FRAME_HELLO},
        {"40{", FRAME_OTHER}, /* greetings follow, and before the last one no event may come */
        {"42[\"connection_established\",{", FRAME_OTHER},
        {"42[\"initial_events\",[", FRAME_ESTABLISHED},
        {"42[\"system_message\",", FRAME_OTHER},
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        const char *after;
        if (text_begins(unit->text, unit->len, starts[i].start, &after)) {
            return starts[i].kind;
        }
    }
    return FRAME_STRANGE;
}

/* Carillon's events end with the offset to recover from, the stock server's do not: what stands behind an event is
 * nothing to go by. */
static enum frame_kind ws_kind(struct unit *unit) {
    const char *after;
    if (text_begins(unit->text, unit->len, "42[\"event_created\",", &unit->event)) {
        return FRAME_EVENT;
    }
    if (text_begins(unit->text, unit->len, "43", &after)) {
        return ack_read(unit, after, "[{\"event\":");
    }
    if (text_begins(unit->text, unit->len, "2", &after) && unit->len == 1) {
        return FRAME_PING;
    }
    return rare_kind(unit);
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
    .hello = "40",
    .pong = "3",
    .ws_kind = ws_kind,
    .http_form = form_api_events,
    .ws_form = ws_form,
};
