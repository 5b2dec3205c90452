#include "audit.h"

#include <stdio.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/keys.h"
#include "carillon/proto/http.h"
#include "carillon/runtime/worker.h"

#include "call.h"
#include "client.h"
#include "command.h"
#include "refusals.h"
#include "respond.h"

/* Refusals that say something about who asks, or how much. The others are about what, and would fill the log with
 * typing errors. */
static const int STATUSES[] = {401, 403, 413, 429, 503};

static bool is_told(int status) {
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
        if (status == STATUSES[i]) {
            return true;
        }
    }
    return false;
}

/* The status of a refusal that is told of; 0 where it is another. */
static int status_of(const struct car_refusal *refusal) {
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
        if (strcmp(refusal->code, car_problem_code(STATUSES[i])) == 0) {
            return STATUSES[i];
        }
    }
    return 0;
}

#define KEY "key:"

/* By what somebody was let in, in `room`: a kind, and which key. */
struct shown {
    char text[sizeof KEY + CAR_ACCOUNT_KID_LEN];
};

static struct car_span credential_of(const struct car_api *api, const struct car_grant *grant, struct shown *room) {
    if (car_grant_is_token(grant)) {
        return CAR_SPAN("jwt");
    }
    if (grant && grant->key_id[0]) {
        (void)snprintf(room->text, sizeof room->text, KEY "%s", grant->key_id);
        return car_span_cstr(room->text);
    }
    return api->auth.mode == CAR_AUTH_OPEN ? CAR_SPAN("open") : CAR_SPAN("token");
}

/* By what somebody wants to be let in; absent where they show nothing. */
static struct car_span wanted_by(const struct car_api *api, const struct car_claim *claim) {
    if (claim->bearer.ptr) {
        return CAR_SPAN("bearer");
    }
    if (claim->key.ptr) {
        return CAR_SPAN("key");
    }
    if (claim->token.ptr) {
        return api->auth.mode == CAR_AUTH_KEY ? CAR_SPAN("jwt") : CAR_SPAN("token");
    }
    return api->auth.mode == CAR_AUTH_OPEN && claim->tenant.ptr ? CAR_SPAN("open") : car_span_of(NULL, 0);
}

/* What somebody says, without a key that they have put there, where a name is meant. */
static void cut_key(struct car_span *text) {
    const char *key = text->len ? memmem(text->ptr, text->len, CAR_KEY_SCHEME, sizeof CAR_KEY_SCHEME - 1) : NULL;
    size_t before = key ? (size_t)(key - text->ptr) : 0;
    if (key && text->len - before >= CAR_KEY_TEXT) {
        text->len = before + sizeof CAR_KEY_SCHEME - 1;
    }
}

/* Writes the line; a refusal is kept for the administrator, too, whether there is a log or not. */
static void enter(struct car_worker *worker, struct car_audit_entry *entry, struct car_tenant *tenant) {
    struct car_span *said[] = {&entry->tenant, &entry->named,      &entry->subject,
                               &entry->target, &entry->request_id, &entry->path};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        cut_key(said[i]);
    }
    if (strcmp(entry->outcome, CAR_AUDIT_REFUSED) == 0) {
        car_refusals_note(worker, entry, tenant);
    }
    car_audit(entry);
}

/* The same, with whose it is. */
static void tell(const struct car_api *api, struct car_worker *worker, struct car_audit_entry entry,
                 const struct car_identity *who, struct car_span named) {
    struct shown room;
    if (who->tenant) {
        entry.credential = credential_of(api, who->grant, &room);
        entry.tenant = car_tenant_id(who->tenant);
        entry.subject = car_identity_subject(who);
        entry.named = named.ptr && !car_span_eq(named, entry.tenant) ? named : car_span_of(NULL, 0);
    } else {
        entry.tenant = named;
    }
    enter(worker, &entry, who->tenant);
}

/* The same for a claim that is refused. Where its credential is good, but for something else, the line says whose it
 * is, though nobody is let in. By name alone nobody is looked up: that would make tenants. */
static void tell_claim(const struct car_api *api, struct car_worker *worker, struct car_audit_entry entry,
                       const struct car_claim *claim) {
    struct car_identity who = {0};
    struct car_claim shown = *claim;
    const char *ignored;
    shown.tenant = car_span_of(NULL, 0);
    entry.credential = wanted_by(api, claim);
    if (entry.status == 403 && api->auth.mode != CAR_AUTH_OPEN) {
        (void)car_auth_claim(&api->auth, worker->reader, &shown, &who, &ignored);
    }
    tell(api, worker, entry, &who, claim->tenant);
    car_identity_drop(&who);
}

/* The address as text, which `room` holds; absent where nobody knows it. */
static struct car_span text_of(const struct car_address *client, char room[CAR_ADDRESS_TEXT]) {
    static const struct car_address nobody = {0};
    return client && !car_address_eq(client, &nobody) ? car_span_of(room, car_address_write(client, room))
                                                      : car_span_of(NULL, 0);
}

/* The same of a request. */
static struct car_span peer_of(const struct car_api *api, const struct car_exchange *exchange,
                               const struct car_http_request *req, char room[CAR_ADDRESS_TEXT]) {
    struct car_address client;
    return car_client_of(api, exchange, req, &client) ? text_of(&client, room) : car_span_of(NULL, 0);
}

static struct car_audit_entry entry_of(const struct car_exchange *exchange, const struct car_http_request *req,
                                       const char *act, const char *outcome, int status, const char *why) {
    return (struct car_audit_entry){
        .act = act,
        .outcome = outcome,
        .status = status,
        .request_id = car_span_cstr(exchange->request_id),
        .method = req->method,
        .path = req->path,
        .reason = why,
    };
}

void car_audit_claim(const struct car_api *api, const struct car_exchange *exchange, const struct car_http_request *req,
                     const char *act, int status, const char *why) {
    struct car_claim claim;
    struct car_claim_texts texts;
    const char *ignored;
    char room[CAR_ADDRESS_TEXT];
    struct car_audit_entry entry = entry_of(exchange, req, act, CAR_AUDIT_REFUSED, status, why);
    entry.peer = peer_of(api, exchange, req, room);
    (void)car_claim_read(req, api->auth.mode != CAR_AUTH_OPEN, &claim, &texts, &ignored);
    tell_claim(api, exchange->worker, entry, &claim);
    car_claim_free(&texts);
}

void car_audit_request(const struct car_api *api, const struct car_exchange *exchange,
                       const struct car_http_request *req, const char *act, int status, const char *why) {
    if (is_told(status)) {
        car_audit_claim(api, exchange, req, act, status, why);
    }
}

void car_audit_turned_away(const struct car_exchange *exchange, const char *why) {
    char room[CAR_ADDRESS_TEXT];
    struct car_address peer;
    struct car_audit_entry entry = {.act = "connect",
                                    .outcome = CAR_AUDIT_REFUSED,
                                    .status = 503,
                                    .request_id = car_span_cstr(exchange->request_id),
                                    .reason = why};
    entry.peer = text_of(car_exchange_peer(exchange, &peer) == 0 ? &peer : NULL, room);
    enter(exchange->worker, &entry, NULL);
}

void car_audit_call(const struct car_call *call, const char *act, const char *outcome, int status, const char *why) {
    char room[CAR_ADDRESS_TEXT];
    if (status >= 400 && !call->who.tenant) {
        car_audit_request(call->api, call->exchange, call->req, act, status, why);
    } else if (status >= 400 ? is_told(status) : car_audit_wants()) {
        struct car_audit_entry entry = entry_of(call->exchange, call->req, act, outcome, status, why);
        entry.peer = peer_of(call->api, call->exchange, call->req, room);
        tell(call->api, call->exchange->worker, entry, &call->who, car_span_of(NULL, 0));
    }
}

void car_audit_act(const struct car_api *api, const struct car_exchange *exchange, const struct car_identity *who,
                   const char *act, int status, struct car_span tenant, struct car_span target) {
    char room[CAR_ADDRESS_TEXT];
    struct shown shown;
    if (car_audit_wants()) {
        bool admin = !who->tenant && api->auth.has_admin;
        struct car_audit_entry entry = {
            .act = act,
            .outcome = status < 400 ? CAR_AUDIT_OK : CAR_AUDIT_FAILED,
            .status = status,
            .tenant = tenant,
            .target = target,
            .subject = car_identity_subject(who),
            .credential = admin ? CAR_SPAN("admin") : credential_of(api, who->grant, &shown),
            .request_id = car_span_cstr(exchange->request_id),
            .peer = text_of(exchange->client_known ? &exchange->client : NULL, room),
        };
        enter(exchange->worker, &entry, NULL);
    }
}

void car_audit_act_failed(const struct car_call *call, int status) {
    car_audit_act(call->api, call->exchange, &call->who, call->act, status, call->id, call->kid);
}

void car_audit_act_refused(struct car_call *call, int status, const char *detail, const struct car_field_error *error) {
    car_audit_act_failed(call, status);
    car_respond_problem(call->exchange, status, detail, error, NULL);
}

void car_audit_act_read(const struct car_call *call) {
    if (call->who.tenant || !call->api->auth.admin_open) {
        car_audit_act(call->api, call->exchange, &call->who, call->act, 200, call->id, call->kid);
    }
}

void car_audit_namespace(const struct car_subscriber *subscriber, const struct car_identity *who,
                         const struct car_claim *claim, struct car_span nsp, const struct car_refusal *refusal) {
    char room[CAR_ADDRESS_TEXT];
    struct car_audit_entry entry = {.act = "socketio",
                                    .outcome = CAR_AUDIT_REFUSED,
                                    .status = status_of(refusal),
                                    .request_id = car_span_cstr(subscriber->request_id),
                                    .peer = text_of(subscriber->client, room),
                                    .path = nsp,
                                    .reason = refusal->message};
    if (entry.status && who->tenant) {
        tell(subscriber->api, subscriber->worker, entry, who, claim->tenant);
    } else if (entry.status) {
        tell_claim(subscriber->api, subscriber->worker, entry, claim);
    }
}

/* Writes the line, with whose connection it is. */
static void tell_subscriber(const struct car_subscriber *subscriber, struct car_audit_entry entry) {
    char room[CAR_ADDRESS_TEXT];
    struct shown shown;
    entry.peer = text_of(subscriber->client, room);
    entry.request_id = car_span_cstr(subscriber->request_id);
    entry.tenant = car_tenant_id(subscriber->tenant);
    entry.subject = subscriber->name;
    entry.credential = credential_of(subscriber->api, subscriber->grant, &shown);
    enter(subscriber->worker, &entry, subscriber->tenant);
}

void car_audit_refusal(const struct car_subscriber *subscriber, const char *act, const struct car_refusal *refusal) {
    int status = status_of(refusal);
    if (status) {
        struct car_audit_entry entry = {
            .act = act, .outcome = CAR_AUDIT_REFUSED, .status = status, .reason = refusal->message};
        tell_subscriber(subscriber, entry);
    }
}

void car_audit_subscriber(const struct car_subscriber *subscriber, const char *act, const char *outcome,
                          struct car_span path, const char *why) {
    struct car_audit_entry entry = {.act = act, .outcome = outcome, .path = path, .reason = why};
    tell_subscriber(subscriber, entry);
}
