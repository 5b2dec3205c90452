#include <stdlib.h>

#include "carillon/net/exchange.h"

#include "eio_state.h"

/* For a probe to become the transport. */
#define UPGRADE_MS 10000

static struct car_eio_ws *of(struct car_ws *ws) {
    return (struct car_eio_ws *)ws; /* its first member */
}

bool car_eio_ws_send(struct car_eio_ws *w, const void *owner, struct car_span packet, bool binary) {
    return car_ws_send(&w->ws, owner, binary ? CAR_WS_BINARY : CAR_WS_TEXT, packet);
}

void car_eio_ws_leave(struct car_eio_ws **w, unsigned code, const char *why) {
    if (*w) {
        (*w)->eio = NULL;
        car_ws_close(&(*w)->ws, code, why);
        *w = NULL;
    }
}

/* The upgrade. */

/* What waited for a poll goes out first, packet by packet as it was put there. */
static void carry_over(struct car_eio *eio, struct car_span payload) {
    struct car_buf scratch = CAR_BUF_INIT;
    struct car_span text;
    while (payload.len && car_engineio_next(&payload, &text)) {
        struct car_engineio_packet packet;
        if (car_engineio_read_polled(text, &scratch, &packet) == 0 && packet.binary) {
            car_eio_ws_send(eio->ws, eio->owner, packet.data, true);
        } else {
            car_eio_ws_send(eio->ws, eio->owner, text, false);
        }
    }
    car_buf_free(&scratch);
}

static void take_over(struct car_eio *eio) {
    struct car_buf out = eio->polling->out;
    eio->polling->out = CAR_BUF_INIT;
    eio->ping_unread = false; /* it goes out with the rest */
    car_eio_polling_forget(eio);
    eio->ws = eio->probe;
    eio->probe = NULL;
    car_ws_belong(&eio->ws->ws, eio->owner);
    car_eio_polling_answer(eio, CAR_SPAN("6"));
    carry_over(eio, car_buf_view(&out));
    car_buf_free(&out);
    eio->server->ops->upgraded(eio);
    if (eio->awaiting_room) {
        eio->awaiting_room = false;
        eio->server->ops->drained(eio);
    }
    car_eio_touch(eio); /* what is left of a payload is read, and long-polling is over */
}

static void on_probe(struct car_eio_ws *w, enum car_ws_opcode op, struct car_span text) {
    struct car_eio *eio = w->eio;
    struct car_engineio_packet packet;
    bool sound = op == CAR_WS_TEXT && car_engineio_read(text, &packet) == 0;
    if (sound && packet.type == CAR_ENGINEIO_PING && car_span_eq(packet.data, CAR_SPAN("probe"))) {
        w->probed = true;
        car_eio_ws_send(w, NULL, CAR_SPAN("3probe"), false);
        car_eio_touch(eio); /* a poll that waits comes to its end, so that the client can go on */
    } else if (sound && packet.type == CAR_ENGINEIO_UPGRADE) {
        take_over(eio);
        if (eio->closing) {
            car_eio_end(eio, CAR_EIO_BY_US, eio->last_code, "");
        }
    } else {
        car_eio_ws_leave(&eio->probe, CAR_WS_PROTOCOL_ERROR, "a probe was expected");
    }
}

/* What the WebSocket calls. */

static void on_message(struct car_ws *ws, enum car_ws_opcode op, char *data, size_t len) {
    struct car_eio_ws *w = of(ws);
    struct car_engineio_packet packet = {.type = CAR_ENGINEIO_MESSAGE, .binary = true, .data = car_span_of(data, len)};
    if (!w->eio) {
        return;
    }
    if (w == w->eio->probe) {
        on_probe(w, op, car_span_of(data, len));
    } else if (op == CAR_WS_TEXT && car_engineio_read(car_span_of(data, len), &packet) != 0) {
        car_eio_fail(w->eio, CAR_WS_PROTOCOL_ERROR, "a malformed packet");
    } else {
        car_eio_take(w->eio, &packet);
    }
}

static void on_drained(struct car_ws *ws) {
    struct car_eio *eio = of(ws)->eio;
    if (eio && eio->awaiting_room && of(ws) == eio->ws) {
        eio->awaiting_room = false;
        eio->server->ops->drained(eio);
        car_eio_touch(eio);
    }
}

static void on_wake(struct car_ws *ws) {
    struct car_eio *eio = of(ws)->eio;
    if (eio && of(ws) == eio->probe) {
        car_eio_ws_leave(&eio->probe, CAR_WS_POLICY, "not upgraded in time");
    }
}

/* All sessions of a worker are told, whatever their transport. */
static void on_leave(struct car_ws *ws) {
    (void)ws;
}

static void on_ended(struct car_ws *ws) {
    struct car_eio_ws *w = of(ws);
    struct car_eio *eio = w->eio;
    if (eio && w == eio->probe) {
        eio->probe = NULL;
    } else if (eio) {
        eio->ws = NULL;
        car_eio_end(eio, CAR_EIO_BY_PEER, CAR_WS_NORMAL, "");
    }
    free(w);
}

static const struct car_ws_ops OPS = {.message = on_message,
                                      .drained = on_drained,
                                      .leave = on_leave,
                                      .ended = on_ended,
                                      .wake = on_wake,
                                      .spoken = CAR_SPEAKS_SOCKETIO};

static struct car_eio_ws *open_ws(struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_eio_ws *w = calloc(1, sizeof *w);
    if (!w) {
        car_exchange_abort(exchange);
    } else if (!car_ws_open(&w->ws, exchange, req, &OPS)) {
        free(w);
        w = NULL;
    }
    return w;
}

void car_eio_ws_turn_away(struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_eio_ws *w = open_ws(exchange, req);
    if (w) {
        car_ws_close(&w->ws, CAR_WS_POLICY, "the session has its WebSocket");
    }
}

bool car_eio_ws_open(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req,
                     bool probe) {
    struct car_eio_ws *w = open_ws(exchange, req);
    if (!w) {
        return false;
    }
    car_ws_limit(&w->ws, eio->server->max_payload);
    w->eio = eio;
    if (probe) {
        eio->probe = w;
        car_ws_wake_in(&w->ws, UPGRADE_MS);
    } else {
        eio->ws = w;
    }
    return true;
}
