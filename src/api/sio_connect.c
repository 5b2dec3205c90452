#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/event.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/scan.h"
#include "carillon/feed/tenant.h"
#include "carillon/net/net.h"
#include "carillon/proto/http.h"
#include "carillon/proto/ws.h"
#include "carillon/runtime/worker.h"

#include "command.h"
#include "event_array.h"
#include "join.h"
#include "respond.h"
#include "sio.h"

#define LATEST_DEFAULT 50

/* What a client sends along when it connects to a namespace, by what it is for. */
enum member { TENANT, TENANT_ID, SINCE, SINCE_ID, EPOCH, SNAPSHOT, PID, OFFSET, MEMBERS };

/* A namespace on its way to be connected. */
struct joining {
    struct car_sio *sio;
    enum car_sio_nsp nsp;
    struct car_span query; /* the namespace's */
    struct car_json_member m[MEMBERS];
    struct car_identity who;
    struct car_sio_socket *socket;
    struct car_sio_pid pid;
    uint64_t newest;          /* what the session is in step with */
    bool recovers;            /* from `cursor.seq` on */
    bool since;               /* begins just after `cursor.seq`, with an array of what comes next */
    uint64_t latest;          /* else: an array of so many of the latest events */
    struct car_cursor cursor; /* in the end: where the session begins */
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
static int named_here(struct joining *joining, struct car_buf *id, struct car_refusal *refusal) {
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

static int identify(struct joining *joining, struct car_refusal *refusal) {
    const struct car_sio *sio = joining->sio;
    struct car_buf id = CAR_BUF_INIT;
    const char *why = sio->asked_why;
    int err = named_here(joining, &id, refusal);
    int status = sio->asked_status;
    joining->who = (struct car_identity){.tenant = sio->asked};
    if (!err && id.len && (!sio->asked_named || status == 0)) {
        status = car_auth_tenant(&sio->api->auth, sio->eio.worker->reader, car_buf_view(&id), &joining->who, &why);
        if (!status && sio->asked && sio->asked != joining->who.tenant) {
            status = 403;
            why = "the handshake names another tenant";
        }
    }
    car_buf_free(&id);
    if (!err && !status && sio->tenant && sio->tenant != joining->who.tenant) {
        status = 403;
        why = "this connection is another tenant's; open one of its own";
    }
    return !err && status ? car_refuse(refusal, car_problem_code(status), NULL, why) : err;
}

/* Where it begins. */

static struct car_subscriber subscriber_of(const struct joining *joining) {
    return (struct car_subscriber){
        .api = joining->sio->api, .tenant = joining->who.tenant, .worker = joining->sio->eio.worker};
}

static struct car_sio_realm realm_of(const struct joining *joining) {
    return (struct car_sio_realm){
        .tenant = car_tenant_id(joining->who.tenant),
        .subject = joining->who.subject,
        .nsp = car_sio_name(joining->sio, joining->nsp),
        .epoch = car_span_cstr(joining->sio->api->feed->epoch),
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
        /* So is a seq that this log has not come to. */
        greeting->foreign =
            car_command_is_foreign(sio->api, &joining->m[EPOCH].value) || joining->cursor.seq > joining->newest;
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

static int attach(struct joining *joining, struct car_refusal *refusal) {
    struct car_sio_socket *socket = calloc(1, sizeof *socket);
    if (!socket ||
        car_session_attach(&socket->session, joining->sio->eio.worker, joining->who.tenant, &joining->newest)) {
        free(socket);
        return car_refuse(refusal, "unavailable", NULL, "out of memory");
    }
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
        free(joining->socket);
    }
}

static void join(struct joining *joining) {
    struct car_sio *sio = joining->sio;
    struct car_span tenant = car_tenant_id(joining->who.tenant);
    struct car_sio_realm realm = realm_of(joining);
    if (!joining->recovers) {
        car_sio_pid_make(&realm, &joining->pid);
    }
    sio->tenant = joining->who.tenant;
    sio->sockets[joining->nsp] = joining->socket;
    joining->socket->recovered = joining->recovers;
    car_eio_settle(&sio->eio, sio->tenant);
    car_log_info("tenant %.*s: socket.io connection %s", (int)tenant.len, tenant.ptr,
                 joining->recovers ? "recovered" : "established");
    greet(joining);
    if (joining->recovers) {
        car_session_start(&joining->socket->session, &joining->cursor);
    } else {
        start_with_array(joining);
    }
}

void car_sio_connect(struct car_sio *sio, const struct car_socketio_packet *packet) {
    struct joining joining = {
        .sio = sio,
        .query = packet->query,
        .m = {[TENANT] = {.name = "tenant"},
              [TENANT_ID] = {.name = "tenantId"},
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
    err = err ? err : identify(&joining, &refusal);
    err = err ? err : attach(&joining, &refusal);
    if (!err) {
        joining.recovers = read_recovery(&joining);
        err = joining.recovers ? 0 : read_start(&joining, &refusal);
    }
    if (err) {
        detach(&joining);
        refuse(sio, packet->nsp, refusal.message, refusal.code);
    } else {
        join(&joining);
    }
}
