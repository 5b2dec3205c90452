#include <jansson.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/base64url.h"
#include "carillon/base/clock.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "changing.h"
#include "respond.h"
#include "terms.h"

#define STEM   40 /* characters of a made id that come from the name */
#define RANDOM 6  /* bytes that tell it from others of that name */

static const char *const MEMBERS[] = {"name", "id", "limits", "retention", NULL};

static void on_created(struct car_changing *changing) {
    struct car_tenant *tenant = changing->change.tenant;
    struct car_span id = car_tenant_id(tenant);
    char at[CAR_RFC3339_LEN];
    car_rfc3339_write(car_tenant_created_ms(tenant), at);
    if (!car_changing_let_in(changing)) {
        return;
    }
    car_respond_json(changing->exchange, 201,
                     json_pack("{s:s%,s:s,s:s,s:s%}", "id", id.ptr, id.len, "name", changing->terms.name, "api_key",
                               changing->text, "created_at", at, sizeof at));
}

static bool plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

/* An id that reminds of the name, and is nobody's. NUL-terminated. */
static void make_id(const char *name, char id[CAR_TENANT_ID_MAX + 1]) {
    uint8_t random[RANDOM];
    size_t len = 0;
    for (; *name && len < STEM; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name | 0x20) : *name;
        if (plain(c)) {
            id[len++] = c;
        } else if (len && id[len - 1] != '-') {
            id[len++] = '-';
        }
    }
    if (len == 0) {
        id[len++] = 't';
    }
    if (id[len - 1] != '-') {
        id[len++] = '-';
    }
    car_random(random, sizeof random);
    car_base64url_write(random, sizeof random, id + len);
    id[len + RANDOM * 4 / 3] = '\0';
}

/* The id that is asked for, or else one that is made. false where it is none, and is refused. */
static bool read_id(struct car_call *call, const json_t *document, struct car_tenant_terms *terms,
                    char id[CAR_TENANT_ID_MAX + 1]) {
    const json_t *asked = json_object_get(document, "id");
    struct car_span text = car_span_of(json_string_value(asked), json_string_length(asked));
    if (asked && !json_is_null(asked)) {
        if (!json_is_string(asked) || !car_tenant_id_ok(text)) {
            struct car_field_error error = {
                "id", "must be 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first"};
            car_audit_act_refused(call, 422, "the tenant breaks a rule", &error);
            return false;
        }
        memcpy(id, text.ptr, text.len);
        id[text.len] = '\0';
        if (!terms->name[0]) {
            memcpy(terms->name, id, text.len + 1);
        }
    } else if (terms->name[0]) {
        make_id(terms->name, id);
    } else {
        struct car_field_error error = {"name", "is required"};
        car_audit_act_refused(call, 422, "the tenant breaks a rule", &error);
        return false;
    }
    return true;
}

static void create(struct car_call *call, const char *id, const struct car_tenant_terms *terms) {
    struct car_tenant *tenant = NULL;
    int err = car_registry_add(call->api->feed->registry, call->worker->reader, car_span_cstr(id), &tenant);
    if (err) {
        bool there = err == CAR_EEXIST;
        call->id = car_span_cstr(id);
        car_audit_act_refused(call, there ? 409 : 503,
                              there ? "there is a tenant of that id" : "there is no room for another tenant", NULL);
        return;
    }
    struct car_changing *changing = car_changing_new(call, CAR_LOG_TENANT_PUT, tenant, on_created);
    if (!changing) {
        car_registry_remove(call->api->feed->registry, call->worker->reader, tenant);
        return;
    }
    changing->terms = *terms;
    changing->change.terms = &changing->terms;
    changing->change.fresh = true;
    car_changing_make_key(changing);
    car_changing_send(changing, call);
}

void car_tenant_create(struct car_call *call) {
    struct car_terms_refusal refusal;
    struct car_tenant_terms terms = {0};
    unsigned members = 0; /* all are new */
    call->act = "tenant_create";
    char id[CAR_TENANT_ID_MAX + 1];
    if (!car_terms_is_json(call)) {
        return;
    }
    json_t *document = car_terms_body(call->req->body, MEMBERS, &refusal);
    if (!document || car_terms_change(&terms, &members, document, &refusal) != 0) {
        car_terms_refuse(call, &refusal);
    } else if (read_id(call, document, &terms, id)) {
        create(call, id, &terms);
    }
    json_decref(document);
}
