#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/base/utf8.h"
#include "carillon/net/conn.h"
#include "carillon/net/exchange.h"
#include "carillon/net/net.h"
#include "carillon/net/response.h"
#include "carillon/runtime/worker.h"

#include "eio_state.h"

/* What is kept of the output buffer between two answers. */
#define OUT_KEPT (4u << 10)

#define TYPE_PACKETS "text/plain; charset=UTF-8"

int car_eio_polling_open(struct car_eio *eio) {
    eio->polling = calloc(1, sizeof *eio->polling);
    return eio->polling ? 0 : CAR_ENOMEM;
}

static void answer_post(struct car_eio *eio, struct car_exchange *post) {
    if (eio->over && eio->was_shed) {
        car_eio_unavailable(post);
        return;
    }
    if (eio->over && !eio->ended_by_peer) {
        car_eio_refuse(post, CAR_ENGINEIO_BAD_REQUEST);
        return;
    }
    /* Some browsers offer text/plain as a download. */
    car_respond(post, &(struct car_response){.status = 200,
                                             .type = "text/html",
                                             .body = CAR_SPAN("ok"),
                                             .headers = "Cache-Control: no-store\r\n"});
}

void car_eio_polling_forget(struct car_eio *eio) {
    struct car_eio_polling *polling = eio->polling;
    if (polling && polling->post && !polling->reading) {
        polling->post->gone = NULL;
        polling->post = NULL;
    }
}

/* The payload has been read, as far as it ever will be. */
static void end_reading(struct car_eio *eio) {
    struct car_exchange *post = eio->polling->post;
    car_buf_free(&eio->polling->rest);
    eio->polling->reading = false;
    eio->polling->post = NULL;
    if (post) {
        answer_post(eio, post);
    }
}

void car_eio_polling_free(struct car_eio *eio) {
    struct car_eio_polling *polling = eio->polling;
    if (polling) {
        car_eio_polling_forget(eio);
        end_reading(eio);
        car_buf_free(&polling->out);
        car_net_hold(car_net_local(eio->worker), &polling->held, polling->held.owner, 0);
        free(polling);
        eio->polling = NULL;
    }
}

/* Sending. */

static void add_separator(struct car_buf *out) {
    if (out->len) {
        car_buf_char(out, CAR_ENGINEIO_SEPARATOR);
    }
}

void car_eio_polling_add(struct car_eio *eio, struct car_span packet, bool binary) {
    struct car_buf *out = &eio->polling->out;
    add_separator(out);
    if (binary) {
        car_engineio_write_base64(out, packet);
    } else {
        car_buf_span(out, packet);
    }
    if (out->failed) {
        car_buf_free(out);
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_INTERNAL, "out of memory");
    } else {
        car_eio_touch(eio); /* somebody polls, or it is kept until then */
    }
}

void car_eio_polling_answer(struct car_eio *eio, struct car_span last) {
    struct car_eio_polling *polling = eio->polling;
    struct car_exchange *poll = polling->poll;
    struct car_buf *out = &polling->out;
    if (!poll) {
        return;
    }
    if (last.len) {
        add_separator(out);
        car_buf_span(out, last);
    }
    polling->poll = NULL;
    eio->ping_unread = false;
    if (out->failed) {
        car_exchange_abort(poll);
    } else {
        poll->owner = eio->owner;
        car_respond(poll, &(struct car_response){.status = 200,
                                                 .type = TYPE_PACKETS,
                                                 .body = car_buf_view(out),
                                                 .headers = "Cache-Control: no-store\r\n",
                                                 .owner = eio->owner});
    }
    if (out->cap > OUT_KEPT || out->failed) {
        car_buf_free(out);
    }
    out->len = 0;
    if (polling->held.bytes || eio->hoard) {
        car_eio_weigh(eio);
    }
}

/* Requests. */

static struct car_eio *holder_of(const struct car_exchange *exchange) {
    return exchange->holder;
}

/* What a poll's answer would have carried is lost with it, and of a payload, all of it or a part: the peer has to begin
 * anew, or to recover. A payload that is refused was never there. */
static void on_gone(struct car_exchange *exchange) {
    struct car_eio *eio = holder_of(exchange);
    struct car_eio_polling *polling = eio->polling;
    bool refused = exchange->conn;
    if (polling->poll == exchange) {
        polling->poll = NULL;
    } else {
        polling->post = NULL;
    }
    if (!refused) {
        car_exchange_abort(exchange);
        if (!eio->ws) {
            car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_NORMAL, "");
        }
    }
}

static void hold(struct car_eio *eio, struct car_exchange *exchange) {
    exchange->holder = eio;
    exchange->gone = on_gone;
}

void car_eio_poll(struct car_eio *eio, struct car_exchange *exchange) {
    struct car_eio_polling *polling = eio->polling;
    if (polling->poll) {
        car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "two polls at a time");
        car_eio_refuse(exchange, CAR_ENGINEIO_BAD_REQUEST);
        return;
    }
    polling->poll = exchange;
    hold(eio, exchange);
    if (eio->closing) {
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_NORMAL, "");
        return;
    }
    if (eio->awaiting_room) {
        eio->awaiting_room = false;
        eio->server->ops->drained(eio);
    }
    if (exchange->draining) {
        (void)car_eio_leave(eio); /* its connection ends with the answer, and there may be no other to tell it on */
    }
    car_eio_touch(eio);
}

/* Whether more of a payload may be read: what it makes us say has to go somewhere. */
static bool may_read(struct car_eio *eio) {
    return !eio->over && (eio->ws ? !car_ws_is_full(&eio->ws->ws) : eio->polling->out.len <= CAR_CONN_HIGH_WATER);
}

/* Reads packets off the front of *payload. */
static void read_packets(struct car_eio *eio, struct car_span *payload) {
    struct car_buf scratch = CAR_BUF_INIT;
    struct car_span text;
    while (may_read(eio) && car_engineio_next(payload, &text)) {
        struct car_engineio_packet packet;
        if (car_engineio_read_polled(text, &scratch, &packet) != 0) {
            car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "a malformed packet");
        } else {
            car_eio_take(eio, &packet);
        }
    }
    car_buf_free(&scratch);
}

void car_eio_polling_read_on(struct car_eio *eio) {
    struct car_eio_polling *polling = eio->polling;
    if (!polling->reading) {
        return;
    }
    struct car_span payload = car_buf_view(&polling->rest);
    read_packets(eio, &payload);
    if (eio->over) {
        return; /* it is answered when the session goes */
    }
    car_buf_consume(&polling->rest, polling->rest.len - payload.len);
    if (payload.len == 0) {
        end_reading(eio);
    } else if (eio->ws) {
        eio->awaiting_room = true;
    }
}

/* The rest waits until what was said has gone out; its POST is answered when it has been read. */
static void read_later(struct car_eio *eio, struct car_exchange *exchange, struct car_span payload) {
    struct car_eio_polling *polling = eio->polling;
    car_buf_span(&polling->rest, payload);
    if (polling->rest.failed) {
        car_buf_free(&polling->rest);
        car_eio_end(eio, CAR_EIO_BY_US, CAR_WS_INTERNAL, "out of memory");
        car_eio_refuse(exchange, CAR_ENGINEIO_BAD_REQUEST);
        return;
    }
    polling->reading = true;
    polling->post = exchange;
    hold(eio, exchange);
    car_eio_weigh(eio);
}

void car_eio_post_begins(struct car_eio *eio, struct car_exchange *exchange) {
    if (eio->polling->post) {
        car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "two payloads at a time"); /* both are refused once they are whole */
        return;
    }
    eio->polling->post = exchange;
    exchange->owner = eio->owner;
    hold(eio, exchange);
}

void car_eio_post(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_span payload = req->body;
    struct car_span type = car_http_header_get(req, "Content-Type", NULL);
    if (payload.len > eio->server->max_payload) {
        car_respond(exchange, &(struct car_response){.status = 413, .type = NULL, .headers = ""});
        return;
    }
    if (payload.len == 0 || car_span_ieq(type, CAR_SPAN("application/octet-stream")) ||
        !car_utf8_valid(payload.ptr, payload.len)) {
        car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "a malformed payload");
        car_eio_refuse(exchange, CAR_ENGINEIO_BAD_REQUEST);
        return;
    }
    read_packets(eio, &payload);
    if (payload.len && !eio->over) {
        read_later(eio, exchange, payload);
    } else {
        answer_post(eio, exchange);
    }
}

void car_eio_polling_turn(struct car_eio *eio) {
    struct car_eio_polling *polling = eio->polling;
    bool noop = eio->probe && eio->probe->probed;
    if (!eio->ws && polling->poll && (polling->out.len || noop)) {
        car_eio_polling_answer(eio, polling->out.len ? car_span_of(NULL, 0) : CAR_SPAN("6"));
    }
    car_eio_polling_read_on(eio);
    if (eio->ws && !polling->reading && !eio->over) {
        car_eio_polling_free(eio); /* the session has moved to WebSocket, and nothing is left behind */
    }
}
