#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/auth.h"
#include "carillon/guard/lease.h"
#include "carillon/guard/rooms.h"
#include "carillon/net/net.h"
#include "carillon/proto/ws.h"
#include "carillon/runtime/worker.h"

#include "api_metrics.h"
#include "audit.h"
#include "command.h"
#include "join.h"
#include "posted.h"
#include "room.h"
#include "sio.h"
#include "sio_claim.h"
#include "sio_greeting.h"

#define LATEST_DEFAULT 50

/* What a client sends along when it connects to a namespace, by what it is for. */
enum member { TENANT, TENANT_ID, TOKEN, API_KEY, SINCE, SINCE_ID, EPOCH, SNAPSHOT, PID, OFFSET, MEMBERS };

/* A namespace on its way to be connected. */
struct joining {
    struct car_sio *sio;
    enum car_sio_nsp nsp;
    struct car_json_member m[MEMBERS];
    struct car_sio_claim claim;
    struct car_sio_socket *socket;
    struct car_sio_pid pid;
    bool recovers; /* from `start.after` on, without an array */
    struct car_sio_start start;
    char epoch[CAR_EPOCH_LEN + 1]; /* the tenant's log's */
};

/* Refusing. */

static void refuse(struct car_sio *sio, struct car_span nsp, const char *message, const char *code) {
    struct car_buf *out = car_sio_begin(sio, CAR_SOCKETIO_CONNECT_ERROR, nsp, NULL);
    CAR_BUF_LIT(out, "{\"message\":");
    car_json_write_string(out, car_span_cstr(message));
    car_buf_printf(out, ",\"data\":{\"code\":\"%s\"}}", code);
    car_sio_send(sio, out);
}

/* Where it begins. */

static struct car_subscriber subscriber_of(const struct joining *joining) {
    return (struct car_subscriber){.api = joining->sio->api,
                                   .tenant = joining->claim.who.tenant,
                                   .worker = joining->sio->eio.worker,
                                   .scopes = joining->claim.who.scopes};
}

/* Who it is: by name, or by the API key. */
static struct car_span name_of(const struct car_identity *who) {
    struct car_span subject = car_identity_subject(who);
    return subject.len == 0 && who->grant ? car_span_cstr(who->grant->key_id) : subject;
}

static struct car_sio_realm realm_of(struct joining *joining) {
    car_feed_epoch(joining->sio->api->feed, joining->claim.who.tenant, joining->epoch);
    return (struct car_sio_realm){
        .tenant = car_tenant_id(joining->claim.who.tenant),
        .subject = name_of(&joining->claim.who),
        .nsp = car_sio_name(joining->sio, joining->nsp),
        .epoch = car_span_cstr(joining->epoch),
    };
}

/* The first seq that the session may ask for. */
static uint64_t oldest_of(const struct joining *joining) {
    return car_feed_oldest(joining->sio->api->feed, joining->claim.who.tenant);
}

/* Whether the client is one that was here before, and all that it missed is still there. Then it goes on behind
 * its offset; a recovery that is not whole is none. */
static bool read_recovery(struct joining *joining) {
    struct car_sio_realm realm = realm_of(joining);
    struct car_buf pid = CAR_BUF_INIT;
    struct car_buf offset = CAR_BUF_INIT;
    bool good = joining->m[PID].value.kind == CAR_JSON_STRING && joining->m[OFFSET].value.kind == CAR_JSON_STRING &&
                car_json_string_decode(joining->m[PID].value.raw, &pid) == 0 &&
                car_json_string_decode(joining->m[OFFSET].value.raw, &offset) == 0 &&
                car_sio_pid_read(car_buf_view(&pid), &realm, &joining->pid) &&
                car_span_u64(car_buf_view(&offset), joining->start.newest, &joining->start.after) == 0 &&
                joining->start.after + 1 >= oldest_of(joining);
    car_buf_free(&pid);
    car_buf_free(&offset);
    return good;
}

/* `since` may also be an object that holds the cursor. */
static void open_since(struct joining *joining) {
    struct car_json_member inside[] = {{.name = "since"}, {.name = "sinceId"}};
    if (joining->m[SINCE].value.kind == CAR_JSON_OBJECT &&
        car_json_pick(joining->m[SINCE].value.raw, inside, 2, NULL) == 0) {
        joining->m[SINCE].value = inside[0].value;
        if (inside[1].value.kind != CAR_JSON_ABSENT) {
            joining->m[SINCE_ID].value = inside[1].value;
        }
    }
    for (int i = SINCE; i <= SINCE_ID; i++) {
        if (joining->m[i].value.kind == CAR_JSON_NULL) {
            joining->m[i].value = (struct car_json_value){0};
        }
    }
}

static int read_start(struct joining *joining, struct car_refusal *refusal) {
    struct car_subscriber subscriber = subscriber_of(joining);
    struct car_json_value *snapshot = &joining->m[SNAPSHOT].value;
    open_since(joining);
    joining->start.since =
        joining->m[SINCE].value.kind != CAR_JSON_ABSENT || joining->m[SINCE_ID].value.kind != CAR_JSON_ABSENT;
    joining->start.latest = LATEST_DEFAULT;
    if (snapshot->kind != CAR_JSON_ABSENT && car_json_u64(snapshot, CAR_SNAPSHOT_MAX, &joining->start.latest) != 0) {
        return car_refuse(refusal, "bad_request", "snapshot", "must be 0 to 1000");
    }
    int err = car_command_since(&subscriber, &joining->m[SINCE].value, &joining->m[SINCE_ID].value,
                                &joining->start.after, refusal);
    if (!err && joining->start.since) {
        /* So is a seq that this log has not come to. */
        joining->start.foreign = car_command_is_foreign(&subscriber, &joining->m[EPOCH].value) ||
                                 joining->start.after > joining->start.newest;
        joining->start.after = joining->start.foreign ? 0 : joining->start.after;
    }
    return err;
}

/* Connecting. */

static void on_revoked(void *holder) {
    struct car_sio_socket *socket = holder;
    struct car_subscriber subscriber = car_sio_subscriber(socket);
    car_audit_subscriber(&subscriber, "socketio", CAR_AUDIT_ENDED, car_sio_name(socket->sio, socket->nsp), CAR_REVOKED);
    car_eio_close(&socket->sio->eio, CAR_WS_POLICY, CAR_REVOKED);
}

static int attach(struct joining *joining, struct car_refusal *refusal) {
    struct car_worker *worker = joining->sio->eio.worker;
    struct car_sio_socket *socket = calloc(1, sizeof *socket);
    int err = socket ? car_lease_take(&socket->lease, worker, &joining->claim.who, on_revoked, socket) : CAR_ENOMEM;
    if (err == CAR_ECLOSED) {
        free(socket);
        return car_refuse(refusal, "unauthorized", NULL, CAR_REVOKED);
    }
    err = err ? err : car_session_attach(&socket->session, worker, joining->claim.who.tenant, &joining->start.newest);
    if (err) {
        if (socket) {
            car_lease_drop(&socket->lease);
        }
        free(socket);
        return car_refuse(refusal, "unavailable", NULL, "out of memory");
    }
    socket->scopes = (uint8_t)joining->claim.who.scopes;
    socket->session.ops = &car_sio_session_ops;
    socket->sio = joining->sio;
    socket->nsp = joining->nsp;
    socket->session.wire = car_sio_wire(socket);
    joining->socket = socket;
    return 0;
}

static void detach(struct joining *joining) {
    if (joining->socket) {
        car_session_detach(&joining->socket->session);
        car_lease_drop(&joining->socket->lease);
        free(joining->socket);
    }
}

/* For the tenant, where the handshake was not counted for it. */
static int take_room(const struct joining *joining, struct car_refusal *refusal) {
    struct car_sio *sio = joining->sio;
    const char *why = "out of memory";
    if (car_room_is_short(sio->api, sio->eio.worker, joining->claim.who.tenant)) {
        return car_refuse(refusal, "unavailable", NULL, CAR_TENANT_NO_MEMORY);
    }
    int err =
        car_rooms_take(sio->api->rooms, sio->eio.worker->reader, joining->claim.who.tenant, NULL, &sio->room, &why);
    if (err == CAR_EFULL) {
        car_count_room(sio->eio.worker, why);
    }
    return err ? car_refuse(refusal, err == CAR_EFULL ? "rate_limited" : "unavailable", NULL, why) : 0;
}

static void join(struct joining *joining) {
    struct car_sio *sio = joining->sio;
    struct car_span tenant = car_tenant_id(joining->claim.who.tenant);
    struct car_sio_realm realm = realm_of(joining);
    if (!joining->recovers) {
        car_sio_pid_make(&realm, &joining->pid);
    }
    sio->tenant = joining->claim.who.tenant;
    car_lease_drop(&sio->asked_lease); /* the namespace has its own */
    sio->sockets[joining->nsp] = joining->socket;
    joining->socket->recovered = joining->recovers;
    car_eio_settle(&sio->eio, sio->tenant);
    struct car_subscriber subscriber = car_sio_subscriber(joining->socket);
    car_audit_subscriber(&subscriber, "socketio", CAR_AUDIT_OK, car_sio_name(sio, joining->nsp), NULL);
    car_log_info("tenant %.*s: socket.io connection %s", (int)tenant.len, tenant.ptr,
                 joining->recovers ? "recovered" : "established");
    car_sio_greet(joining->socket, &joining->pid, joining->start.newest);
    if (joining->recovers) {
        const struct car_cursor cursor = {.seq = joining->start.after};
        car_session_start(&joining->socket->session, &cursor);
    } else {
        car_sio_start_with_array(joining->socket, &joining->start);
    }
}

/* To the audit log. */
static void tell_of_refusal(const struct joining *joining, const struct car_refusal *refusal) {
    const struct car_sio *sio = joining->sio;
    struct car_claim claim = car_sio_claim_view(&joining->claim);
    if (!claim.tenant.ptr) {
        claim.tenant = car_span_cstr(sio->asked_name);
    }
    const struct car_subscriber subscriber = {
        .api = sio->api, .worker = sio->eio.worker, .client = &sio->client, .request_id = sio->request_id};
    car_count_namespace(sio->eio.worker, refusal);
    car_audit_namespace(&subscriber, &joining->claim.who, &claim, car_sio_name(sio, joining->nsp), refusal);
}

void car_sio_connect(struct car_sio *sio, const struct car_socketio_packet *packet) {
    struct joining joining = {
        .sio = sio,
        .m = {[TENANT] = {.name = "tenant"},
              [TENANT_ID] = {.name = "tenantId"},
              [TOKEN] = {.name = "token"},
              [API_KEY] = {.name = "apiKey"},
              [SINCE] = {.name = "since"},
              [SINCE_ID] = {.name = "sinceId"},
              [EPOCH] = {.name = "epoch"},
              [SNAPSHOT] = {.name = "snapshot"},
              [PID] = {.name = "pid"},
              [OFFSET] = {.name = "offset"}},
    };
    struct car_refusal refusal;
    while (joining.nsp < CAR_SIO_NSPS && !car_span_eq(packet->nsp, car_sio_name(sio, joining.nsp))) {
        joining.nsp++;
    }
    if (joining.nsp == CAR_SIO_NSPS) {
        refuse(sio, packet->nsp, "Invalid namespace", "not_found");
        return;
    }
    if (sio->sockets[joining.nsp]) {
        car_eio_fail(&sio->eio, CAR_WS_PROTOCOL_ERROR, "the namespace is connected already");
        return;
    }
    if (packet->data.kind == CAR_JSON_OBJECT && car_json_pick(packet->data.raw, joining.m, MEMBERS, NULL) != 0) {
        car_eio_fail(&sio->eio, CAR_WS_INTERNAL, "out of memory"); /* it has been validated */
        return;
    }
    const struct car_sio_shown shown = {.query = packet->query,
                                        .tenant = &joining.m[TENANT],
                                        .token = &joining.m[TOKEN].value,
                                        .key = &joining.m[API_KEY].value};
    int err = packet->mended ? car_refuse(&refusal, "bad_request", NULL, CAR_SIO_MENDED) : 0;
    err = err ? err : car_sio_claim_check(&joining.claim, sio, &shown, &refusal);
    err = err ? err : attach(&joining, &refusal);
    if (!err) {
        joining.recovers = read_recovery(&joining);
        err = joining.recovers ? 0 : read_start(&joining, &refusal);
    }
    err = err ? err : take_room(&joining, &refusal); /* last: what is refused has taken none */
    if (err) {
        detach(&joining);
        tell_of_refusal(&joining, &refusal);
        refuse(sio, packet->nsp, refusal.message, refusal.code);
    } else {
        join(&joining);
    }
    car_sio_claim_free(&joining.claim);
}
