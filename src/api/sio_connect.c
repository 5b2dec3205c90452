#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/auth.h"
#include "carillon/guard/lease.h"
#include "carillon/guard/rooms.h"
#include "carillon/net/net.h"
#include "carillon/proto/http.h"
#include "carillon/proto/ws.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "command.h"
#include "event_array.h"
#include "join.h"
#include "rate.h"
#include "respond.h"
#include "sio.h"

#define LATEST_DEFAULT 50

/* What a client sends along when it connects to a namespace, by what it is for. */
enum member { TENANT, TENANT_ID, TOKEN, API_KEY, SINCE, SINCE_ID, EPOCH, SNAPSHOT, PID, OFFSET, MEMBERS };

/* A namespace on its way to be connected. */
struct joining {
    struct car_sio *sio;
    enum car_sio_nsp nsp;
    struct car_span query; /* the namespace's */
    struct car_json_member m[MEMBERS];
    struct car_buf named, token, key; /* what it names and shows; empty where it does not */
    struct car_identity who;
    struct car_sio_socket *socket;
    struct car_sio_pid pid;
    uint64_t newest;               /* what the session is in step with */
    bool recovers;                 /* from `cursor.seq` on */
    bool since;                    /* begins just after `cursor.seq`, with an array of what comes next */
    uint64_t latest;               /* else: an array of so many of the latest events */
    struct car_cursor cursor;      /* in the end: where the session begins */
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

/* Whose it is. */

/* Whatever is named more than once is the same. Takes `name` over. */
static int name_once(struct car_buf *id, struct car_buf *name, struct car_refusal *refusal) {
    if (id->len && !car_span_eq(car_buf_view(id), car_buf_view(name))) {
        car_buf_free(name);
        return car_refuse(refusal, "forbidden", NULL, "different tenants are named");
    }
    car_buf_free(id);
    *id = *name;
    return 0;
}

/* The tenant that the payload names, or the namespace's query; 0 and an empty text where they name none. */
static int named_here(struct joining *joining, struct car_refusal *refusal) {
    struct car_buf *id = &joining->named;
    int err = 0;
    for (int i = TENANT; i <= TENANT_ID && !err; i++) {
        const struct car_json_value *value = &joining->m[i].value;
        struct car_buf text = CAR_BUF_INIT;
        if (value->kind == CAR_JSON_STRING && car_json_string_decode(value->raw, &text) == 0) {
            err = name_once(id, &text, refusal);
        } else if (value->kind != CAR_JSON_ABSENT && value->kind != CAR_JSON_NULL) {
            return car_refuse(refusal, "unauthorized", NULL, "the tenant must be a string");
        }
        text = CAR_BUF_INIT;
        if (!err && joining->query.len && car_http_param(joining->query, joining->m[i].name, &text) == 0) {
            err = name_once(id, &text, refusal);
        }
    }
    return err;
}

/* A credential in the payload; 0 and an empty text where there is none. */
static int shown_here(const struct car_json_value *value, struct car_buf *out, const char *wrong,
                      struct car_refusal *refusal) {
    if (value->kind == CAR_JSON_ABSENT || value->kind == CAR_JSON_NULL) {
        return 0;
    }
    if (value->kind != CAR_JSON_STRING || car_json_string_decode(value->raw, out) != 0) {
        return car_refuse(refusal, "unauthorized", NULL, wrong);
    }
    return 0;
}

/* Whose it is by what is shown here; or, where nothing is, by what the handshake has shown. */
static int authenticate(struct joining *joining, struct car_claim *claim, const char **why) {
    const struct car_sio *sio = joining->sio;
    const struct car_auth *auth = &sio->api->auth;
    bool named = claim->tenant.ptr != NULL;
    bool shows = auth->mode == CAR_AUTH_OPEN ? named && (!sio->asked_named || sio->asked_status == 0)
                                             : claim->token.ptr || (auth->mode == CAR_AUTH_KEY && claim->key.ptr);
    if (!shows) {
        joining->who = (struct car_identity){.tenant = sio->asked,
                                             .grant = car_grant_ref(sio->asked_grant),
                                             .scopes = sio->asked_grant ? sio->asked_grant->scopes : CAR_SCOPES_ALL};
        *why = sio->asked_why;
        if (!sio->asked_status && named && !car_span_eq(claim->tenant, car_tenant_id(sio->asked))) {
            *why = "the handshake names another tenant";
            return 403;
        }
        return sio->asked_status;
    }
    if (!named && sio->asked_name) {
        claim->tenant = car_span_cstr(sio->asked_name);
    }
    int status = car_auth_claim(auth, sio->eio.worker->reader, claim, &joining->who, why);
    if (!status && sio->asked && sio->asked != joining->who.tenant) {
        *why = "the handshake names another tenant";
        return 403;
    }
    return status;
}

static struct car_claim claim_of(const struct joining *joining) {
    return (struct car_claim){
        .tenant = joining->named.len ? car_buf_view(&joining->named) : car_span_of(NULL, 0),
        .token = joining->token.len ? car_buf_view(&joining->token) : car_span_of(NULL, 0),
        .key = joining->key.len ? car_buf_view(&joining->key) : car_span_of(NULL, 0),
    };
}

static int identify(struct joining *joining, struct car_refusal *refusal) {
    const struct car_sio *sio = joining->sio;
    const char *why = NULL;
    int err = named_here(joining, refusal);
    err = err ? err : shown_here(&joining->m[TOKEN].value, &joining->token, "the token must be a string", refusal);
    err = err ? err : shown_here(&joining->m[API_KEY].value, &joining->key, "the API key must be a string", refusal);
    struct car_claim claim = claim_of(joining);
    int status = err ? 0 : authenticate(joining, &claim, &why);
    if (!err && !status && sio->tenant && sio->tenant != joining->who.tenant) {
        status = 403;
        why = "this connection is another tenant's; open one of its own";
    }
    if (!err && !status && !(joining->who.scopes & CAR_SCOPE_SUBSCRIBE)) {
        status = 403;
        why = car_auth_lacks(CAR_SCOPE_SUBSCRIBE);
    }
    return !err && status ? car_refuse(refusal, car_problem_code(status), NULL, why) : err;
}

/* Each credential that is no good costs a unit of the address's limit for guesses, and one that is beyond that is not
 * looked at. */
static int identify_within_limits(struct joining *joining, struct car_refusal *refusal) {
    const struct car_sio *sio = joining->sio;
    struct car_takings takings;
    car_takings_init(&takings);
    int err = car_rate_guess(sio->api, sio->eio.worker, &sio->client, &takings, refusal);
    err = err ? err : identify(joining, refusal);
    if (!err) {
        car_rates_give_back(&sio->api->rates, sio->eio.worker->reader, &takings);
    }
    return err;
}

/* Where it begins. */

static struct car_subscriber subscriber_of(const struct joining *joining) {
    return (struct car_subscriber){.api = joining->sio->api,
                                   .tenant = joining->who.tenant,
                                   .worker = joining->sio->eio.worker,
                                   .scopes = joining->who.scopes};
}

/* Who it is: by name, or by the API key. */
static struct car_span name_of(const struct car_identity *who) {
    struct car_span subject = car_identity_subject(who);
    return subject.len == 0 && who->grant ? car_span_cstr(who->grant->key_id) : subject;
}

static struct car_sio_realm realm_of(struct joining *joining) {
    car_feed_epoch(joining->sio->api->feed, joining->who.tenant, joining->epoch);
    return (struct car_sio_realm){
        .tenant = car_tenant_id(joining->who.tenant),
        .subject = name_of(&joining->who),
        .nsp = car_sio_name(joining->sio, joining->nsp),
        .epoch = car_span_cstr(joining->epoch),
    };
}

/* The first seq that the session may ask for. */
static uint64_t oldest_of(const struct joining *joining) {
    return car_feed_oldest(joining->sio->api->feed, joining->who.tenant);
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
                car_span_u64(car_buf_view(&offset), joining->newest, &joining->cursor.seq) == 0 &&
                joining->cursor.seq + 1 >= oldest_of(joining);
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
    joining->since =
        joining->m[SINCE].value.kind != CAR_JSON_ABSENT || joining->m[SINCE_ID].value.kind != CAR_JSON_ABSENT;
    joining->latest = LATEST_DEFAULT;
    if (snapshot->kind != CAR_JSON_ABSENT && car_json_u64(snapshot, CAR_SNAPSHOT_MAX, &joining->latest) != 0) {
        return car_refuse(refusal, "bad_request", "snapshot", "must be 0 to 1000");
    }
    return car_command_since(&subscriber, &joining->m[SINCE].value, &joining->m[SINCE_ID].value, &joining->cursor.seq,
                             refusal);
}

/* Greeting. */

static void send_connect(struct joining *joining, char sid[CAR_SIO_SID_LEN]) {
    struct car_buf *out =
        car_sio_begin(joining->sio, CAR_SOCKETIO_CONNECT, car_sio_name(joining->sio, joining->nsp), NULL);
    car_buf_printf(out, "{\"sid\":\"%.*s\",\"pid\":\"%.*s\"}", CAR_SIO_SID_LEN, sid, CAR_SIO_PID_LEN,
                   joining->pid.text);
    car_sio_send(joining->sio, out);
}

static struct car_buf *begin_event(struct car_sio *sio, enum car_sio_nsp nsp, const char *name) {
    struct car_buf *out = car_sio_begin(sio, CAR_SOCKETIO_EVENT, car_sio_name(sio, nsp), NULL);
    car_buf_printf(out, "[\"%s\",", name);
    return out;
}

static void send_established(struct joining *joining, char sid[CAR_SIO_SID_LEN]) {
    struct car_buf *out = begin_event(joining->sio, joining->nsp, "connection_established");
    car_buf_char(out, '{');
    car_join_established(out, joining->sio->api, joining->who.tenant, car_span_of(sid, CAR_SIO_SID_LEN),
                         joining->newest);
    CAR_BUF_LIT(out, "}]");
    car_sio_send(joining->sio, out);
}

/* The events with which a socket begins, while they are being read. */
struct car_sio_greeting {
    struct car_scan scan; /* first */
    struct car_sio *sio;
    struct car_sio_socket *socket; /* NULL once it has gone */
    uint64_t newest;               /* what its session is in step with */
    uint64_t after;                /* the last event that it has, where `since` */
    bool since;
    bool foreign; /* what it has is another log's: then there is a gap, and everything */
};

/* The array, with the offset to recover from, as every event has. The session goes on behind it. */
static void send_array(struct car_sio_greeting *greeting) {
    struct car_sio_socket *socket = greeting->socket;
    const struct car_scan *scan = &greeting->scan;
    struct car_cursor cursor = {.seq = greeting->newest};
    if (greeting->since) {
        uint64_t first = scan->count ? scan->events[0]->seq : greeting->newest + 1;
        if (greeting->foreign || first > greeting->after + 1) {
            car_sio_session_ops.gap(&socket->session, greeting->after + 1, first - 1);
        }
        cursor.seq = scan->count ? scan->events[scan->count - 1]->seq : greeting->newest;
    }
    struct car_buf *out =
        begin_event(greeting->sio, socket->nsp, socket->nsp == CAR_SIO_ROOT ? "initial_events" : "snapshot");
    car_event_array_ascending(out, scan);
    car_buf_printf(out, ",\"%llu\"]", (unsigned long long)cursor.seq);
    car_sio_send(greeting->sio, out);
    car_session_start(&socket->session, &cursor);
}

static void on_array(struct car_scan *scan) {
    struct car_sio_greeting *greeting = (struct car_sio_greeting *)scan; /* its first member */
    struct car_sio *sio = greeting->sio;
    struct car_sio_socket *socket = greeting->socket;
    sio->pending--;
    if (socket) {
        socket->greeting = NULL;
    }
    if (sio->ended) {
        car_sio_release(sio);
    } else if (socket && scan->status) {
        car_eio_close(&sio->eio, CAR_WS_INTERNAL, "the log cannot be read");
    } else if (socket) {
        send_array(greeting);
    }
    car_scan_free(scan);
    free(greeting);
}

void car_sio_drop_greeting(struct car_sio_socket *socket) {
    if (socket->greeting) {
        socket->greeting->socket = NULL;
        socket->greeting = NULL;
    }
}

static void start_with_array(struct joining *joining) {
    struct car_sio *sio = joining->sio;
    struct car_sio_greeting *greeting = calloc(1, sizeof *greeting);
    if (!greeting) {
        car_eio_close(&sio->eio, CAR_WS_INTERNAL, "out of memory");
        return;
    }
    car_join_scan(&greeting->scan, joining->who.tenant, sio->eio.worker, joining->latest, joining->newest);
    if (joining->since) {
        struct car_subscriber subscriber = subscriber_of(joining);
        /* So is a seq that this log has not come to. */
        greeting->foreign =
            car_command_is_foreign(&subscriber, &joining->m[EPOCH].value) || joining->cursor.seq > joining->newest;
        greeting->after = greeting->foreign ? 0 : joining->cursor.seq;
        greeting->scan.first = greeting->after + 1;
        greeting->scan.descending = false;
    }
    greeting->scan.done = on_array;
    greeting->sio = sio;
    greeting->socket = joining->socket;
    greeting->newest = joining->newest;
    greeting->since = joining->since;
    joining->socket->greeting = greeting;
    sio->pending++;
    car_scan_start(&greeting->scan);
}

static void greet(struct joining *joining) {
    char sid[CAR_SIO_SID_LEN];
    car_sio_pid_sid(&joining->pid, sid);
    send_connect(joining, sid);
    if (joining->nsp == CAR_SIO_ROOT) {
        send_established(joining, sid);
    }
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
    int err = socket ? car_lease_take(&socket->lease, worker, &joining->who, on_revoked, socket) : CAR_ENOMEM;
    if (err == CAR_ECLOSED) {
        free(socket);
        return car_refuse(refusal, "unauthorized", NULL, CAR_REVOKED);
    }
    err = err ? err : car_session_attach(&socket->session, worker, joining->who.tenant, &joining->newest);
    if (err) {
        if (socket) {
            car_lease_drop(&socket->lease);
        }
        free(socket);
        return car_refuse(refusal, "unavailable", NULL, "out of memory");
    }
    socket->scopes = (uint8_t)joining->who.scopes;
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
    int err = car_rooms_take(sio->api->rooms, sio->eio.worker->reader, joining->who.tenant, NULL, &sio->room, &why);
    return err ? car_refuse(refusal, err == CAR_EFULL ? "rate_limited" : "unavailable", NULL, why) : 0;
}

static void join(struct joining *joining) {
    struct car_sio *sio = joining->sio;
    struct car_span tenant = car_tenant_id(joining->who.tenant);
    struct car_sio_realm realm = realm_of(joining);
    if (!joining->recovers) {
        car_sio_pid_make(&realm, &joining->pid);
    }
    sio->tenant = joining->who.tenant;
    car_lease_drop(&sio->asked_lease); /* the namespace has its own */
    sio->sockets[joining->nsp] = joining->socket;
    joining->socket->recovered = joining->recovers;
    car_eio_settle(&sio->eio, sio->tenant);
    struct car_subscriber subscriber = car_sio_subscriber(joining->socket);
    car_audit_subscriber(&subscriber, "socketio", CAR_AUDIT_OK, car_sio_name(sio, joining->nsp), NULL);
    car_log_info("tenant %.*s: socket.io connection %s", (int)tenant.len, tenant.ptr,
                 joining->recovers ? "recovered" : "established");
    greet(joining);
    if (joining->recovers) {
        car_session_start(&joining->socket->session, &joining->cursor);
    } else {
        start_with_array(joining);
    }
}

/* To the audit log. */
static void tell_of_refusal(const struct joining *joining, const struct car_refusal *refusal) {
    const struct car_sio *sio = joining->sio;
    struct car_claim claim = claim_of(joining);
    if (!claim.tenant.ptr) {
        claim.tenant = car_span_cstr(sio->asked_name);
    }
    car_audit_namespace(sio->api, sio->eio.worker, &joining->who, &sio->client, &claim, car_sio_name(sio, joining->nsp),
                        refusal);
}

void car_sio_connect(struct car_sio *sio, const struct car_socketio_packet *packet) {
    struct joining joining = {
        .sio = sio,
        .query = packet->query,
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
    int err = packet->mended ? car_refuse(&refusal, "bad_request", NULL, CAR_SIO_MENDED) : 0;
    err = err ? err : identify_within_limits(&joining, &refusal);
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
    car_identity_drop(&joining.who);
    car_buf_free(&joining.named);
    car_buf_free(&joining.token);
    car_buf_free(&joining.key);
}
