#include "sio.h"
#include "sio_greeting.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/blob.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/lease.h"
#include "carillon/net/net.h"
#include "carillon/proto/engineio.h"
#include "carillon/proto/ws.h"
#include "carillon/runtime/worker.h"

#include "admission.h"
#include "api_metrics.h"
#include "audit.h"
#include "begin.h"
#include "call.h"
#include "client.h"
#include "command.h"
#include "join.h"
#include "rate.h"
#include "respond.h"
#include "room.h"

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

static void let_go(struct car_sio *sio) {
    car_lease_drop(&sio->asked_lease);
    car_grant_unref(&sio->asked_grant);
    car_rooms_drop(sio->api->rooms, &sio->room);
    free(sio->asked_name);
    sio->asked_name = NULL;
}

static void on_ended(struct car_eio *eio) {
    struct car_sio *sio = of(eio);
    for (int i = 0; i < CAR_SIO_NSPS; i++) {
        disconnect(sio, (enum car_sio_nsp)i);
    }
    car_socketio_decoder_free(&sio->decoder);
    let_go(sio);
    sio->ended = true;
    car_sio_release(sio);
}

static const struct car_eio_ops EIO_OPS = {
    .message = on_message,
    .drained = on_drained,
    .upgraded = on_upgraded,
    .leave = on_leave,
    .kept = kept,
    .ended = on_ended,
};

/* Opening. */

/* Who the handshake says it is: a namespace may be connected to with that. */
static void read_asked(struct car_sio *sio, struct car_worker *worker, const struct car_http_request *req) {
    struct car_claim claim;
    struct car_claim_texts texts;
    struct car_identity who = {0};
    const struct car_auth *auth = &sio->api->auth;
    int status = car_claim_read(req, auth->mode != CAR_AUTH_OPEN, &claim, &texts, &sio->asked_why);
    status = status ? status : car_auth_claim(auth, worker->reader, &claim, &who, &sio->asked_why);
    sio->asked_status = (uint16_t)status;
    sio->asked = who.tenant;
    sio->asked_grant = who.grant; /* its reference */
    sio->asked_named = status == 0 || status == 400 || claim.tenant.ptr || claim.token.ptr;
    if (status && claim.tenant.ptr && car_tenant_id_ok(claim.tenant)) {
        sio->asked_name = calloc(1, claim.tenant.len + 1);
        if (sio->asked_name) {
            memcpy(sio->asked_name, claim.tenant.ptr, claim.tenant.len);
        }
    }
    car_claim_free(&texts);
}

/* What the handshake was good for has ended, and no namespace has been connected to yet. */
static void on_asked_ended(void *holder) {
    struct car_sio *sio = holder;
    struct car_subscriber subscriber = {.api = sio->api,
                                        .tenant = sio->asked,
                                        .worker = sio->eio.worker,
                                        .name = car_lease_name(sio->asked_lease),
                                        .grant = sio->asked_grant,
                                        .client = &sio->client,
                                        .request_id = sio->request_id};
    car_audit_subscriber(&subscriber, "socketio", CAR_AUDIT_ENDED, car_span_of(NULL, 0), CAR_REVOKED);
    car_eio_close(&sio->eio, CAR_WS_POLICY, CAR_REVOKED);
}

/* What has ended since it was read says nobody any more. */
static int lease_asked(struct car_sio *sio, struct car_worker *worker) {
    const struct car_identity who = {.tenant = sio->asked, .grant = sio->asked_grant};
    int err = sio->asked ? car_lease_take(&sio->asked_lease, worker, &who, on_asked_ended, sio) : 0;
    if (err == CAR_ECLOSED) {
        car_grant_unref(&sio->asked_grant);
        sio->asked = NULL;
        sio->asked_status = 401;
        sio->asked_why = CAR_REVOKED;
    }
    return err == CAR_ECLOSED ? 0 : err;
}

/* false where it is refused, and answered. */
static bool let_in(struct car_sio *sio, struct car_exchange *exchange, const struct car_http_request *req) {
    const char *why = "out of memory";
    read_asked(sio, exchange->worker, req);
    if (!car_admission_passes_as(sio->api, exchange, sio->asked)) {
        return false;
    }
    int status =
        lease_asked(sio, exchange->worker) ? 503 : car_room_take(sio->api, exchange, req, sio->asked, &sio->room, &why);
    if (status) {
        car_audit_request(sio->api, exchange, req, "socketio", status, why);
        car_respond_problem(exchange, status, why, NULL, status == 429 ? CAR_ROOM_RETRY : NULL);
    }
    return !status;
}

static struct car_eio *open_sio(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    struct car_api *api = app;
    size_t id_size = strlen(exchange->request_id) + 1;
    struct car_sio *sio = calloc(1, sizeof *sio + id_size);
    if (!sio) {
        car_eio_unavailable(exchange);
        return NULL;
    }
    sio->api = api;
    memcpy(sio->request_id, exchange->request_id, id_size);
    sio->certified = exchange->certified;
    (void)car_client_of(api, exchange, req, &sio->client);
    if (!let_in(sio, exchange, req)) {
        let_go(sio);
        free(sio);
        return NULL;
    }
    return &sio->eio;
}

/* Why a request of the session is refused; 0 where it names and shows nobody else. What it shows may be worth nothing
 * any more, as a token that another one has taken the place of. */
static int judge(const struct car_sio *sio, struct car_exchange *exchange, const struct car_http_request *req,
                 const char **why) {
    const struct car_tenant *own = sio->tenant ? sio->tenant : sio->asked;
    const struct car_auth *auth = &sio->api->auth;
    struct car_claim claim;
    struct car_claim_texts texts;
    struct car_identity who = {0};
    const char *ignored;
    if (!own) {
        return 0; /* nobody as yet */
    }
    int status = car_claim_read(req, auth->mode != CAR_AUTH_OPEN, &claim, &texts, why);
    bool other = !status && claim.tenant.ptr && !car_span_eq(claim.tenant, car_tenant_id(own));
    if (!status && !other && auth->mode != CAR_AUTH_OPEN) {
        claim.tenant = car_span_of(NULL, 0);
        other = car_auth_claim(auth, exchange->worker->reader, &claim, &who, &ignored) == 0 && who.tenant != own;
        car_identity_drop(&who);
    }
    car_claim_free(&texts);
    if (other) {
        *why = "the session is another tenant's";
    }
    return other ? 403 : status;
}

static bool admit_to_sio(struct car_eio *eio, struct car_exchange *exchange, const struct car_http_request *req) {
    const struct car_sio *sio = (const struct car_sio *)eio; /* its first member */
    const char *why = NULL;
    int status = 403;
    if (sio->certified && !exchange->certified) {
        why = "the session began with a client certificate"; /* by which it may publish */
    } else {
        status = judge(sio, exchange, req, &why);
    }
    if (status) {
        car_audit_request(sio->api, exchange, req, "socketio", status, why);
        car_respond_problem(exchange, status, why, NULL, NULL);
    }
    return !status;
}

void car_sio_set_up(struct car_api *api) {
    const struct car_config *config = api->config;
    api->sio = (struct car_eio_server){
        .ops = &EIO_OPS,
        .open = open_sio,
        .admit = admit_to_sio,
        .app = api,
        .ping_interval_ms = config->ping_interval_ms,
        .ping_timeout_ms = config->ping_timeout_ms,
        .connect_timeout_ms = config->sio_connect_timeout_ms,
        .max_payload = config->max_body_bytes,
    };
}

/* Spelled out: what begins at this path does not show where it has been encoded. */
static bool is_sio_path(struct car_span path) {
    return car_span_eq(path, CAR_SPAN("/socket.io/")) || car_span_eq(path, CAR_SPAN("/socket.io"));
}

void car_sio_expect(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req) {
    if (is_sio_path(req->path) && exchange->verb != CAR_HTTP_OPTIONS && car_origin_ok(api, req)) {
        car_eio_expect(&api->sio, exchange, req);
    }
}

/* Whether it is a session's first request: one that names none. */
static bool opens(const struct car_http_request *req) {
    struct car_buf sid = CAR_BUF_INIT;
    bool named = car_http_param(req->query, "sid", &sid) == 0 && sid.len > 0;
    car_buf_free(&sid);
    return !named;
}

void car_sio_request(struct car_call *call) {
    bool first = opens(call->req);
    call->exchange->resource = first ? CAR_RESOURCE_SESSION : CAR_RESOURCE_SOCKETIO;
    if (!is_sio_path(call->req->path)) {
        car_respond_problem(call->exchange, 404, "there is nothing at this path", NULL, NULL);
    } else if (!car_origin_ok(call->api, call->req)) {
        car_audit_call(call, "socketio", CAR_AUDIT_REFUSED, 403, CAR_ORIGIN_REFUSED);
        car_eio_refuse(call->exchange, CAR_ENGINEIO_FORBIDDEN);
    } else if (first ? car_rate_session(call) : true) {
        car_eio_request(&call->api->sio, call->exchange, call->req);
    }
}
