#include <jansson.h>
#include <stdio.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/keys.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "changing.h"
#include "respond.h"
#include "tenant_one.h"
#include "terms.h"

static void on_made(struct car_changing *changing) {
    char at[CAR_RFC3339_LEN];
    car_rfc3339_write(changing->key.created_ms, at);
    if (!car_changing_let_in(changing)) {
        return;
    }
    car_respond_json(
        changing->exchange, 201,
        json_pack("{s:s,s:s,s:s%}", "id", changing->key.kid, "api_key", changing->text, "created_at", at, sizeof at));
}

/* A key is like any other, so there is nothing to be said of it. Whoever says something is told. */
static bool is_plain(struct car_call *call) {
    static const char *const NOTHING[] = {NULL};
    struct car_terms_refusal refusal;
    if (!car_terms_is_json(call)) {
        return false;
    }
    json_t *document = car_terms_body(call->req->body, NOTHING, &refusal);
    if (!document) {
        car_terms_refuse(call, &refusal);
        return false;
    }
    json_decref(document);
    return true;
}

void car_tenant_key_create(struct car_call *call) {
    call->act = "key_create";
    struct car_tenant *tenant = car_tenant_asked(call);
    struct car_changing *changing =
        tenant && is_plain(call) ? car_changing_new(call, CAR_LOG_KEY_PUT, tenant, on_made) : NULL;
    if (changing) {
        car_changing_make_key(changing);
        car_changing_send(changing, call);
    }
}

static void add(const struct car_key *key, void *user) {
    char at[CAR_RFC3339_LEN];
    car_rfc3339_write(key->account.created_ms, at);
    json_array_append_new(user, json_pack("{s:s,s:s,s:s%}", "id", key->account.kid, "prefix", key->account.prefix,
                                          "created_at", at, sizeof at));
}

void car_tenant_key_list(struct car_call *call) {
    call->act = "key_list";
    struct car_tenant *tenant = car_tenant_asked(call);
    json_t *list = tenant ? json_array() : NULL;
    if (tenant) {
        car_audit_act_read(call);
        car_keys_each(call->api->auth.keys, tenant, add, list);
        car_respond_json(call->exchange, 200, json_pack("{s:o}", "keys", list));
    }
}

static void on_revoked(struct car_changing *changing) {
    struct car_reader *reader = changing->change.worker->reader;
    (void)car_keys_remove(changing->api->auth.keys, reader, changing->change.tenant, car_span_cstr(changing->key.kid));
    car_changing_close(changing);
    car_respond(changing->exchange, &(struct car_response){.status = 204, .headers = ""});
}

void car_tenant_key_delete(struct car_call *call) {
    call->act = "key_revoke";
    struct car_tenant *tenant = car_tenant_asked(call);
    if (!tenant) {
        return;
    }
    if (call->kid.len >= sizeof((struct car_account_key *)NULL)->kid ||
        !car_keys_has(call->api->auth.keys, tenant, call->kid)) {
        car_audit_act_refused(call, 404, "there is no such key", NULL);
        return;
    }
    struct car_changing *changing = car_changing_new(call, CAR_LOG_KEY_REMOVE, tenant, on_revoked);
    if (changing) {
        snprintf(changing->key.kid, sizeof changing->key.kid, "%.*s", (int)call->kid.len, call->kid.ptr);
        changing->change.key = &changing->key;
        car_changing_send(changing, call);
    }
}
