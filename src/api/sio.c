#include "sio.h"

#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/guard/lease.h"
#include "carillon/net/net.h"
#include "carillon/proto/engineio.h"
#include "carillon/proto/ws.h"

#include "sio_greeting.h"
#include "sio_open.h"

/* Of one packet; the reference server's number. */
#define ATTACHMENTS_MAX 10

#define NOT_CONNECTED "a packet for a namespace that is not connected"

static struct car_sio *of(struct car_eio *eio) {
    return (struct car_sio *)eio; /* its first member */
}

static struct car_sio_socket *of_session(struct car_session *session) {
    return (struct car_sio_socket *)session; /* its first member */
}

struct car_span car_sio_name(const struct car_sio *sio, enum car_sio_nsp nsp) {
    return nsp == CAR_SIO_ROOT ? CAR_SPAN("/") : car_span_cstr(sio->api->config->sio_namespace);
}

/* Sending. */

struct car_buf *car_sio_begin(struct car_sio *sio, enum car_socketio_type type, struct car_span nsp,
                              const uint64_t *id) {
    struct car_buf *out = car_net_scratch(sio->eio.worker);
    car_engineio_write(out, CAR_ENGINEIO_MESSAGE, car_span_of(NULL, 0));
    car_socketio_write_head(out, type, 0, nsp, id);
    return out;
}

void car_sio_send(struct car_sio *sio, struct car_buf *packet) {
    if (packet->failed) {
        car_eio_close(&sio->eio, CAR_WS_INTERNAL, "out of memory");
    } else {
        (void)car_eio_send(&sio->eio, sio->tenant, car_buf_view(packet));
    }
}

/* What the feed calls. */

enum car_wire car_sio_wire(const struct car_sio_socket *socket) {
    enum car_wire first = socket->nsp == CAR_SIO_ROOT ? CAR_WIRE_SIO_ROOT : CAR_WIRE_SIO_NAMED;
    switch (car_eio_form(&socket->sio->eio)) {
    case CAR_EIO_FRAMES:
        return first + (CAR_WIRE_SIO_ROOT_WS - CAR_WIRE_SIO_ROOT);
    case CAR_EIO_DEFLATED:
        return first + (CAR_WIRE_SIO_ROOT_WS_DEFLATE - CAR_WIRE_SIO_ROOT);
    default:
        return first;
    }
}

static bool offer(struct car_session *session, struct car_blob *packets) {
    struct car_eio *eio = &of_session(session)->sio->eio;
    return !car_eio_is_full(eio) && car_eio_send_ready(eio, packets);
}

static bool too_slow(struct car_session *session, uint64_t from, uint64_t to) {
    (void)from;
    (void)to;
    car_eio_send_away(&of_session(session)->sio->eio, CAR_WS_TRY_LATER, "too slow: fell behind all that is kept");
    return false;
}

static void gap(struct car_session *session, uint64_t from, uint64_t to) {
    struct car_sio_socket *socket = of_session(session);
    if (socket->recovered) {
        /* It was promised everything. It comes back, and begins anew. */
        car_eio_send_away(&socket->sio->eio, CAR_WS_TRY_LATER, "what was missed has been forgotten meanwhile");
        return;
    }
    struct car_buf *out = car_sio_begin(socket->sio, CAR_SOCKETIO_EVENT, car_sio_name(socket->sio, socket->nsp), NULL);
    car_buf_printf(out, "[\"gap\",{\"from\":%llu,\"to\":%llu}]", (unsigned long long)from, (unsigned long long)to);
    car_sio_send(socket->sio, out);
}

/* Says good-bye once nothing is owed any more. */
static void leave_when_caught_up(struct car_sio *sio) {
    for (int i = 0; i < CAR_SIO_NSPS; i++) {
        if (sio->sockets[i] && car_session_is_behind(&sio->sockets[i]->session)) {
            return;
        }
    }
    car_eio_go_away(&sio->eio);
}

static void caught_up(struct car_session *session) {
    struct car_sio *sio = of_session(session)->sio;
    if (sio->leaving) {
        leave_when_caught_up(sio);
    }
}

static void failed(struct car_session *session) {
    car_eio_close(&of_session(session)->sio->eio, CAR_WS_INTERNAL, "the log cannot be read");
}

static size_t held(struct car_session *session) {
    return car_eio_held(&of_session(session)->sio->eio);
}

static void shed(struct car_session *session) {
    car_eio_shed(&of_session(session)->sio->eio);
}

static struct car_session_peer peer(const struct car_session *session) {
    const struct car_sio *sio = ((const struct car_sio_socket *)session)->sio; /* its first member */
    return (struct car_session_peer){.client = &sio->client, .request_id = sio->request_id};
}

const struct car_session_ops car_sio_session_ops = {.offer = offer,
                                                    .gap = gap,
                                                    .too_slow = too_slow,
                                                    .caught_up = caught_up,
                                                    .failed = failed,
                                                    .held = held,
                                                    .shed = shed,
                                                    .peer = peer};

/* What the Engine.IO session calls. */

static void disconnect(struct car_sio *sio, enum car_sio_nsp nsp) {
    struct car_sio_socket *socket = sio->sockets[nsp];
    sio->sockets[nsp] = NULL;
    if (socket) {
        car_session_detach(&socket->session);
        car_lease_drop(&socket->lease);
        car_sio_drop_greeting(socket);
        free(socket);
    }
}

static void on_packet(struct car_sio *sio, const struct car_socketio_packet *packet) {
    struct car_sio_socket *socket = NULL;
    enum car_sio_nsp nsp = CAR_SIO_ROOT;
    if (packet->type == CAR_SOCKETIO_CONNECT) {
        car_sio_connect(sio, packet);
        return;
    }
    for (; nsp < CAR_SIO_NSPS && !socket; nsp++) {
        socket = car_span_eq(packet->nsp, car_sio_name(sio, nsp)) ? sio->sockets[nsp] : NULL;
    }
    if (!socket || packet->type == CAR_SOCKETIO_CONNECT_ERROR) {
        car_eio_fail(&sio->eio, CAR_WS_PROTOCOL_ERROR, NOT_CONNECTED);
    } else if (packet->type == CAR_SOCKETIO_DISCONNECT) {
        disconnect(sio, socket->nsp);
    } else if (packet->type == CAR_SOCKETIO_EVENT || packet->type == CAR_SOCKETIO_BINARY_EVENT) {
        car_sio_command(socket, packet);
    } /* an acknowledgement: none is asked for, so it says nothing */
}

static void on_message(struct car_eio *eio, bool binary, struct car_span data) {
    struct car_sio *sio = of(eio);
    const struct car_socketio_limits limits = {.attachments = ATTACHMENTS_MAX, .bytes = eio->server->max_payload};
    struct car_socketio_packet packet;
    bool whole;
    switch (car_socketio_decode(&sio->decoder, &limits, binary, data, &packet, &whole)) {
    case 0:
        if (whole) {
            on_packet(sio, &packet);
        } else if (!sio->tenant) {
            car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, NOT_CONNECTED); /* nobody's memory is to hold its attachments */
        }
        break;
    case CAR_ETOOBIG:
        car_eio_fail(eio, CAR_WS_TOO_BIG, "a packet that is too large");
        break;
    case CAR_ENOMEM:
        car_eio_fail(eio, CAR_WS_INTERNAL, "out of memory");
        break;
    default:
        car_eio_fail(eio, CAR_WS_PROTOCOL_ERROR, "a malformed packet");
        break;
    }
    if (sio->decoder.pending || eio->hoard) {
        if (whole) {
            car_socketio_decoder_free(&sio->decoder);
        }
        car_eio_weigh(eio);
    }
}

static size_t kept(const struct car_eio *eio) {
    return car_socketio_decoder_kept(&((const struct car_sio *)eio)->decoder); /* its first member */
}

static void on_drained(struct car_eio *eio) {
    for (int i = 0; i < CAR_SIO_NSPS; i++) {
        if (of(eio)->sockets[i]) {
            car_session_resume(&of(eio)->sockets[i]->session);
        }
    }
}

static void on_upgraded(struct car_eio *eio) {
    for (int i = 0; i < CAR_SIO_NSPS; i++) {
        if (of(eio)->sockets[i]) {
            of(eio)->sockets[i]->session.wire = car_sio_wire(of(eio)->sockets[i]);
        }
    }
}

/* What was acknowledged before the end is still delivered to whoever reads it in time. */
static void on_leave(struct car_eio *eio) {
    struct car_sio *sio = of(eio);
    for (int i = 0; i < CAR_SIO_NSPS; i++) {
        if (sio->sockets[i]) {
            struct car_buf *out = car_sio_begin(sio, CAR_SOCKETIO_EVENT, car_sio_name(sio, (enum car_sio_nsp)i), NULL);
            car_buf_printf(out,
                           "[\"system_message\",{\"message\":\"the server is going away; connect again\","
                           "\"retry_ms\":%u}]",
                           car_net_retry_ms());
            car_sio_send(sio, out);
        }
    }
    sio->leaving = true;
    leave_when_caught_up(sio);
}

void car_sio_release(struct car_sio *sio) {
    if (sio->ended && sio->pending == 0) {
        free(sio);
    }
}

static void on_ended(struct car_eio *eio) {
    struct car_sio *sio = of(eio);
    for (int i = 0; i < CAR_SIO_NSPS; i++) {
        disconnect(sio, (enum car_sio_nsp)i);
    }
    car_socketio_decoder_free(&sio->decoder);
    car_sio_let_go(sio);
    sio->ended = true;
    car_sio_release(sio);
}

const struct car_eio_ops car_sio_eio_ops = {
    .message = on_message,
    .drained = on_drained,
    .upgraded = on_upgraded,
    .leave = on_leave,
    .kept = kept,
    .ended = on_ended,
};
