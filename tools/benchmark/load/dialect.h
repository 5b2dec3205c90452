#ifndef CARILLON_LOAD_DIALECT_H
#define CARILLON_LOAD_DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "form.h"
#include "sse.h"

enum frame_kind {
    FRAME_STRANGE,     /* not to be expected */
    FRAME_OTHER,       /* to be expected, and of no matter here */
    FRAME_HELLO,       /* the server waits for dialect->hello */
    FRAME_ESTABLISHED, /* from here on the socket gets its tenant's events */
    FRAME_EVENT,
    FRAME_ACK, /* of the publish with that ref */
    FRAME_PING /* wants dialect->pong */
};

/* What came in one frame of a WebSocket, or as one event of a stream. */
struct unit {
    const char *text;
    size_t len;
    size_t wire;       /* its length with everything around it */
    const char *event; /* where the event begins that it delivers or acknowledges, up to the end; NULL: nowhere */
    uint64_t ref;      /* of an acknowledgement */
    bool streamed;     /* over SSE, with the id that follows */
    uint64_t id;
};

static inline size_t unit_event_len(const struct unit *unit) {
    return unit->event ? (size_t)(unit->text + unit->len - unit->event) : 0;
}

/* What servers of one kind understand and say. Immutable. */
struct dialect {
    const char *name;
    bool bare;           /* a message travels as it is: there is no event around it, and none in its acknowledgement */
    bool greets;         /* FRAME_ESTABLISHED comes; else the answer to the handshake says as much */
    const char *ws_path; /* the tenant's name follows */
    const char *sse_path;
    const char *hello; /* what FRAME_HELLO waits for */
    const char *pong;
    enum frame_kind (*ws_kind)(struct unit *unit);
    enum frame_kind (*sse_kind)(const struct sse_event *event);
    void (*http_form)(struct form *form, const char *host, size_t message_len);
    void (*ws_form)(struct form *form);
};

extern const struct dialect dialect_carillon, dialect_socketio, dialect_nchan;

/* NULL where there is none of that name. */
const struct dialect *dialect_find(const char *name);

/* Helpers of the dialects. */

/* Whether the text begins so; then *after is what follows. */
bool text_begins(const char *text, size_t len, const char *start, const char **after);

/* Reads the number of an acknowledgement, and the event after it, if `between` stands between them. */
enum frame_kind ack_read(struct unit *unit, const char *after, const char *between);

/* A request that posts {"message":…} to /api/v1/events, as two of the dialects have it: by the tenant's API key where
 * the form has keys, else by its name. */
void form_api_events(struct form *form, const char *host, size_t message_len);

#endif
