#include <stdlib.h>

#include "carillon/base/base64url.h"
#include "carillon/base/buf.h"
#include "carillon/base/crypto.h"
#include "carillon/proto/engineio.h"
#include "carillon/proto/socketio.h"
#include "carillon/proto/ws.h"
#include "carillon/runtime/worker.h"
#include "echo.h"

#define ATTACHMENTS_MAX 100
#define SID_BYTES       15
#define SID_LEN         20

/* Between the answer to CONNECT and `auth`: a client that waits for the one and then for the other misses what comes
 * with the first. */
#define AUTH_LATER_MS 20

static const struct car_span NAMESPACES[] = {CAR_SPAN_INIT("/"), CAR_SPAN_INIT("/custom")};
#define NAMESPACE_COUNT (sizeof NAMESPACES / sizeof *NAMESPACES)

struct client {
    struct car_eio eio; /* first */
    struct car_socketio_decoder decoder;
    bool connected[NAMESPACE_COUNT];
    struct car_timer timer;
    struct car_buf later; /* the packet of `auth` */
};

static struct client *of(struct car_eio *eio) {
    return (struct client *)eio;
}

static size_t namespace_of(struct car_span name) {
    size_t i = 0;
    while (i < NAMESPACE_COUNT && !car_span_eq(name, NAMESPACES[i])) {
        i++;
    }
    return i;
}

static struct car_buf begin(enum car_socketio_type type, unsigned attachments, struct car_span nsp,
                            const uint64_t *id) {
    struct car_buf out = CAR_BUF_INIT;
    car_engineio_write(&out, CAR_ENGINEIO_MESSAGE, car_span_of(NULL, 0));
    car_socketio_write_head(&out, type, attachments, nsp, id);
    return out;
}

static void send_packet(struct client *client, struct car_buf *out) {
    if (out->failed) {
        car_eio_fail(&client->eio, CAR_WS_INTERNAL, "out of memory");
    } else {
        (void)car_eio_send(&client->eio, NULL, car_buf_view(out));
    }
    car_buf_free(out);
}

static void send_auth(struct client *client) {
    if (client->later.len) {
        send_packet(client, &client->later);
    }
}

static void on_timer(struct car_timer *timer) {
    send_auth((struct client *)((char *)timer - offsetof(struct client, timer)));
}

static void join(struct client *client, const struct car_socketio_packet *packet) {
    uint8_t random[SID_BYTES];
    char sid[SID_LEN];
    size_t i = namespace_of(packet->nsp);
    if (i == NAMESPACE_COUNT) {
        struct car_buf out = begin(CAR_SOCKETIO_CONNECT_ERROR, 0, packet->nsp, NULL);
        CAR_BUF_LIT(&out, "{\"message\":\"Invalid namespace\"}");
        send_packet(client, &out);
        return;
    }
    client->connected[i] = true;
    car_eio_settle(&client->eio, NULL);
    car_random(random, sizeof random);
    car_base64url_write(random, sizeof random, sid);
    struct car_buf out = begin(CAR_SOCKETIO_CONNECT, 0, NAMESPACES[i], NULL);
    car_buf_printf(&out, "{\"sid\":\"%.*s\"}", SID_LEN, sid);
    send_packet(client, &out);
    client->later = begin(CAR_SOCKETIO_EVENT, 0, NAMESPACES[i], NULL);
    CAR_BUF_LIT(&client->later, "[\"auth\",");
    car_buf_span(&client->later, packet->data.kind == CAR_JSON_OBJECT ? packet->data.raw : CAR_SPAN("{}"));
    car_buf_char(&client->later, ']');
    car_timer_set(client->eio.worker->wheel, &client->timer, AUTH_LATER_MS);
}

/* Sends the arguments back, and the attachments behind them, in their order. */
static void send_back(struct client *client, const struct car_socketio_packet *packet, enum car_socketio_type type,
                      struct car_span args, const char *name) {
    bool binary = packet->attachments > 0;
    if (binary) {
        type = type == CAR_SOCKETIO_EVENT ? CAR_SOCKETIO_BINARY_EVENT : CAR_SOCKETIO_BINARY_ACK;
    }
    struct car_buf out = begin(type, packet->attachments, packet->nsp, name ? NULL : &packet->id);
    car_buf_char(&out, '[');
    if (name) {
        car_buf_printf(&out, "\"%s\"%s", name, args.len ? "," : "");
    }
    car_buf_span(&out, args);
    car_buf_char(&out, ']');
    send_packet(client, &out);
    for (unsigned i = 0; i < packet->attachments; i++) {
        (void)car_eio_send_binary(&client->eio, NULL, car_socketio_attachment(&client->decoder, i));
    }
}

static void on_event(struct client *client, const struct car_socketio_packet *packet) {
    struct car_json_value name;
    struct car_span args;
    car_socketio_event(packet, &name, &args);
    if (car_span_eq(name.raw, CAR_SPAN("\"message\""))) {
        send_back(client, packet, CAR_SOCKETIO_EVENT, args, "message-back");
    } else if (car_span_eq(name.raw, CAR_SPAN("\"message-with-ack\"")) && packet->has_id) {
        send_back(client, packet, CAR_SOCKETIO_ACK, args, NULL);
    }
}

static void on_message(struct car_eio *eio, bool binary, struct car_span data) {
    struct client *client = of(eio);
    struct car_socketio_limits limits = {.attachments = ATTACHMENTS_MAX, .bytes = eio->server->max_payload};
    struct car_socketio_packet packet;
    bool whole;
    send_auth(client); /* before any answer */
    if (car_socketio_decode(&client->decoder, &limits, binary, data, &packet, &whole) != 0) {
        car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "a malformed packet");
        return;
    }
    size_t i = whole ? namespace_of(packet.nsp) : NAMESPACE_COUNT;
    if (!whole) {
        return;
    }
    if (packet.type == CAR_SOCKETIO_CONNECT) {
        join(client, &packet);
    } else if (i == NAMESPACE_COUNT || !client->connected[i] || packet.type == CAR_SOCKETIO_CONNECT_ERROR) {
        car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "a packet for a namespace that is not connected");
    } else if (packet.type == CAR_SOCKETIO_DISCONNECT) {
        client->connected[i] = false;
    } else if (packet.type == CAR_SOCKETIO_EVENT || packet.type == CAR_SOCKETIO_BINARY_EVENT) {
        on_event(client, &packet);
    }
}

static void on_nothing(struct car_eio *eio) {
    (void)eio;
}

static void on_ended(struct car_eio *eio) {
    car_timer_clear(eio->worker->wheel, &of(eio)->timer);
    car_buf_free(&of(eio)->later);
    car_socketio_decoder_free(&of(eio)->decoder);
    free(eio);
}

const struct car_eio_ops echo_socketio_ops = {
    .message = on_message, .drained = on_nothing, .upgraded = on_nothing, .leave = car_eio_go_away, .ended = on_ended};

struct car_eio *echo_socketio_open(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    (void)req;
    struct client *client = calloc(1, sizeof *client);
    if (!client) {
        car_eio_unavailable(exchange);
        return NULL;
    }
    client->timer.fire = on_timer;
    return &client->eio;
}
