#include "dialect.h"

#include <string.h>

const struct dialect *dialect_find(const char *name) {
    static const struct dialect *const all[] = {&dialect_carillon, &dialect_socketio, &dialect_nchan};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}

bool text_begins(const char *text, size_t len, const char *start, const char **after) {
    size_t start_len = strlen(start);
    *after = text + start_len;
    return len >= start_len && memcmp(text, start, start_len) == 0;
}

enum frame_kind ack_read(struct unit *unit, const char *after, const char *between) {
    const char *end = unit->text + unit->len;
    unit->ref = 0;
    for (; after < end && *after >= '0' && *after <= '9'; after++) {
        unit->ref = unit->ref * 10 + (uint64_t)(*after - '0');
    }
    if (!text_begins(after, (size_t)(end - after), between, &unit->event)) {
        unit->event = NULL;
    }
    return FRAME_ACK;
}

void form_api_events(struct form *form, const char *host, size_t message_len) {
    static const char open[] = "{\"message\":\"";
    static const char close[] = "\"}";
    form->key = form->keys ? FORM_API_KEY : FORM_TENANT;
    bytes_print(&form->head, "POST /api/v1/events HTTP/1.1\r\nHost: %s\r\n%s: ", host,
                form->keys ? "X-API-Key" : "X-Tenant-ID");
    bytes_print(&form->middle, "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                sizeof open - 1 + message_len + sizeof close - 1, open);
    bytes_text(&form->tail, close);
}
