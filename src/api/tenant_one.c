#include <jansson.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/keys.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "changing.h"
#include "respond.h"
#include "tenant_one.h"
#include "terms.h"

static const char *const MEMBERS[] = {"name", "limits", "retention", NULL};

struct car_tenant *car_tenant_asked(struct car_call *call) {
    struct car_tenant *tenant = car_registry_find(call->api->feed->registry, call->worker->reader, call->id);
    if (!tenant) {
        car_audit_act_refused(call, 404, "there is no such tenant", NULL);
    }
    return tenant;
}

static void count(const struct car_key *key, void *user) {
    (void)key;
    ++*(json_int_t *)user;
}

static json_t *counts_of(struct car_call *call, const struct car_tenant *tenant) {
    uint64_t newest = car_tenant_newest(tenant);
    uint64_t oldest = car_feed_oldest(call->api->feed, tenant);
    json_int_t keys = 0;
    car_keys_each(call->api->auth.keys, tenant, count, &keys);
    return json_pack("{s:I,s:I,s:I,s:I}", "events", (json_int_t)(newest >= oldest ? newest - oldest + 1 : 0),
                     "last_seq", (json_int_t)newest, "connections", (json_int_t)car_tenant_guests(tenant), "keys",
                     keys);
}

static void respond(struct car_call *call, const struct car_tenant *tenant, const struct car_tenant_terms *terms) {
    struct car_span id = car_tenant_id(tenant);
    char at[CAR_RFC3339_LEN];
    car_rfc3339_write(car_tenant_created_ms(tenant), at);
    car_respond_json(call->exchange, 200,
                     json_pack("{s:s%,s:s,s:s%,s:o,s:o,s:o}", "id", id.ptr, id.len, "name",
                               terms->name[0] ? terms->name : id.ptr, "created_at", at, sizeof at, "limits",
                               car_terms_limits(&terms->limits), "retention", car_terms_retention(&terms->limits),
                               "counts", counts_of(call, tenant)));
}

void car_tenant_terms_copy(struct car_call *call, const struct car_tenant *tenant, struct car_tenant_terms *out) {
    car_reader_enter(call->worker->reader);
    *out = *car_tenant_terms(tenant);
    car_reader_leave(call->worker->reader);
}

void car_tenant_get(struct car_call *call) {
    struct car_tenant_terms terms;
    call->act = "tenant_read";
    struct car_tenant *tenant = car_tenant_asked(call);
    if (tenant) {
        car_audit_act_read(call);
        car_tenant_terms_copy(call, tenant, &terms);
        respond(call, tenant, &terms);
    }
}

static void on_changed(struct car_changing *changing) {
    struct car_call call = {.api = changing->api, .exchange = changing->exchange, .worker = changing->change.worker};
    respond(&call, changing->change.tenant, &changing->terms);
}

void car_tenant_patch(struct car_call *call) {
    struct car_terms_refusal refusal;
    call->act = "tenant_change";
    struct car_tenant *tenant = car_terms_is_json(call) ? car_tenant_asked(call) : NULL;
    json_t *document = tenant ? car_terms_body(call->req->body, MEMBERS, &refusal) : NULL;
    struct car_tenant_terms terms;
    unsigned members = 0;
    if (!tenant) {
        return;
    }
    car_tenant_terms_copy(call, tenant, &terms);
    if (!document || car_terms_change(&terms, &members, document, &refusal) != 0) {
        car_terms_refuse(call, &refusal);
    } else {
        struct car_changing *changing = car_changing_new(call, CAR_LOG_TENANT_PUT, tenant, on_changed);
        if (changing) {
            changing->terms = terms;
            changing->change.terms = &changing->terms;
            changing->change.partly = true;
            changing->change.members = members;
            car_changing_send(changing, call);
        }
    }
    json_decref(document);
}

/* Its keys end, and so do the connections that anybody has to it. */
static void on_removed(struct car_changing *changing) {
    struct car_worker *worker = changing->change.worker;
    (void)car_keys_remove_all(changing->api->auth.keys, worker->reader, changing->change.tenant);
    car_changing_close(changing);
    car_respond(changing->exchange, &(struct car_response){.status = 204, .headers = ""});
}

void car_tenant_delete(struct car_call *call) {
    call->act = "tenant_remove";
    struct car_tenant *tenant = car_tenant_asked(call);
    struct car_changing *changing = tenant ? car_changing_new(call, CAR_LOG_TENANT_REMOVE, tenant, on_removed) : NULL;
    if (changing) {
        car_changing_send(changing, call);
    }
}
