#include "client.h"

#include <errno.h>
#include <string.h>

#include "delivery.h"
#include "event.h"
#include "load.h"
#include "poster.h"
#include "secure.h"
#include "ws.h"

/* Small enough that a server soon notices that nothing is read. */
#define STALLED_BUFFER 4096

/* How much of a text a fault quotes: one line, and not all of a long one. */
static int shown(const char *text, size_t len) {
    size_t most = len < 100 ? len : 100;
    const char *end = memchr(text, '\r', most);
    return (int)(end ? (size_t)(end - text) : most);
}

/* From now on the socket is served by the thread that it is dealt to. */
static void established(struct conn *conn) {
    struct load *load = conn->load;
    conn->live = true;
    load->established++;
    if (conn->role == ROLE_STALLED) {
        conn->input = NULL;
    }
    struct loop *home = &load->loops[conn->posts ? 0 : conn->number % load->loop_count];
    if (home != conn->loop) {
        loop_forget(conn->loop, conn);
        if (!loop_watch(home, conn)) {
            conn_break(conn, "could not be watched (%s)", strerror(errno));
        }
    }
}

static void say(struct conn *conn, const char *text) {
    ws_frame_write(&conn->out, WS_TEXT, text, strlen(text));
    conn_flush(conn);
}

/* What the dialect has made of a frame or event. */
static void take(struct conn *conn, enum frame_kind kind, const struct unit *unit) {
    switch (kind) {
    case FRAME_EVENT:
        if (conn->live) {
            delivery_take(conn, unit);
        } else {
            conn_fault(conn, "got an event before it was told that it is connected");
        }
        break;
    case FRAME_ACK:
        poster_acked(conn, unit->ref, unit->event, unit_event_len(unit));
        break;
    case FRAME_ESTABLISHED:
        if (conn->live) {
            conn_fault(conn, "was told twice that it is connected");
        } else {
            established(conn);
        }
        break;
    case FRAME_HELLO:
        say(conn, conn->load->dialect->hello);
        break;
    case FRAME_PING:
        say(conn, conn->load->dialect->pong);
        break;
    case FRAME_OTHER:
        break;
    case FRAME_STRANGE:
        conn_fault(conn, "got what is not to be expected: %.*s", shown(unit->text, unit->len), unit->text);
        break;
    }
}

static void take_frame(struct conn *conn, const struct ws_frame *frame) {
    struct unit unit = {.text = frame->payload, .len = frame->len, .wire = frame->size};
    switch (frame->opcode) {
    case WS_TEXT:
        take(conn, conn->load->dialect->ws_kind(&unit), &unit);
        break;
    case WS_PING:
        ws_frame_write(&conn->out, WS_PONG, frame->payload, frame->len);
        conn_flush(conn);
        break;
    case WS_PONG:
        break;
    case WS_CLOSE:
        conn_break(conn, "closed by the server (code %u)", ws_close_code(frame));
        break;
    case WS_BINARY:
        conn_fault(conn, "got a binary message");
        break;
    }
}

static size_t ws_input(struct conn *conn, char *data, size_t *len) {
    struct ws_frame frame;
    size_t used = 0;
    /* A stalled socket stops reading in the middle. */
    while (conn->fd >= 0 && conn->input) {
        enum reading reading = ws_frame_read(data + used, *len - used, &frame);
        if (reading == READING_BROKEN) {
            conn_break(conn, "got a frame that is malformed, fragmented or compressed");
        }
        if (reading != READING_WHOLE) {
            break;
        }
        used += frame.size;
        take_frame(conn, &frame);
    }
    return used;
}

static size_t sse_input(struct conn *conn, char *data, size_t *len) {
    struct sse_event event;
    size_t used = 0;
    if (sse_decode(&conn->sse, data, len) == READING_BROKEN) {
        conn_break(conn, "got chunks that are malformed");
    }
    while (conn->fd >= 0 && conn->input && sse_event_read(data + used, *len - used, &event) == READING_WHOLE) {
        used += event.size;
        struct unit unit = {.text = event.data,
                            .len = event.len,
                            .wire = event.size + conn->sse.overhead,
                            .event = event.data,
                            .streamed = true,
                            .id = number_read(event.id, event.id_len)};
        take(conn, conn->load->dialect->sse_kind(&event), &unit);
        conn->sse.overhead = 0;
    }
    conn->sse.decoded = *len - used;
    return used;
}

static size_t handshake_input(struct conn *conn, char *data, size_t *len) {
    bool sse = conn->load->options->sse && conn->role != ROLE_POSTER_WS;
    struct http_head head;
    enum reading reading = http_head_read(data, *len, &head);
    if (reading == READING_MORE) {
        return 0;
    }
    if (reading == READING_BROKEN || head.status != (sse ? 200 : 101)) {
        conn_break(conn, "handshake refused: %.*s", shown(data, *len), data);
        return 0;
    }
    if (sse ? !http_head_has(data, &head, "content-type", "text/event-stream")
            : !http_head_has(data, &head, "sec-websocket-accept", WS_ACCEPT)) {
        conn_break(conn, "handshake answered without its %s", sse ? "content type" : "key");
        return 0;
    }
    conn->sse.chunked = head.chunked;
    conn->input = sse ? sse_input : ws_input;
    if (!conn->load->dialect->greets) {
        established(conn);
    }
    /* The first frame may have come along. */
    size_t rest = *len - head.size;
    size_t used = conn->fd >= 0 && conn->input ? conn->input(conn, data + head.size, &rest) : rest;
    *len = head.size + rest;
    return head.size + used;
}

static void write_handshake(struct conn *conn) {
    const struct options *options = conn->load->options;
    const struct dialect *dialect = conn->load->dialect;
    bool sse = options->sse && conn->role != ROLE_POSTER_WS;
    bytes_print(&conn->out, "GET %st%u HTTP/1.1\r\nHost: %s\r\n", sse ? dialect->sse_path : dialect->ws_path,
                conn->tenant, options->target_text);
    bytes_text(&conn->out, sse ? "Accept: text/event-stream\r\n\r\n"
                               : "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n");
}

bool client_open(struct conn *conn, unsigned index) {
    const struct options *options = conn->load->options;
    conn->fd =
        target_connect(&options->target, index % options->sources, conn->role == ROLE_STALLED ? STALLED_BUFFER : 0);
    if (conn->fd < 0 || (options->tls && !secure_begin(conn))) {
        return false;
    }
    if (conn->role == ROLE_POSTER_HTTP) {
        conn->input = poster_input;
        conn->on_connect = established;
    } else {
        conn->input = handshake_input;
        write_handshake(conn);
    }
    return loop_watch(&conn->load->loops[0], conn);
}
