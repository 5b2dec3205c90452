#include "changing.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/feed/feed.h"
#include "carillon/guard/grant.h"
#include "carillon/guard/keys.h"
#include "carillon/guard/lease.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "respond.h"
#include "terms.h"

/* What an API key lets its holder do. To administer is the administrator's. */
#define SCOPES (CAR_SCOPE_PUBLISH | CAR_SCOPE_SUBSCRIBE)

static void changing_free(struct car_changing *changing) {
    explicit_bzero(changing->text, sizeof changing->text);
    car_identity_drop(&changing->who);
    free(changing);
}

/* What the change was made to, beside the tenant: a key, or which of its terms. */
static struct car_span target_of(const struct car_changing *changing, char room[CAR_TERMS_NAMES]) {
    if (changing->change.partly) {
        car_terms_names(changing->change.members, room);
        return car_span_cstr(room);
    }
    return changing->change.key ? car_span_cstr(changing->key.kid) : car_span_of(NULL, 0);
}

static void tell(struct car_changing *changing, int status) {
    char room[CAR_TERMS_NAMES];
    car_audit_act(changing->api, changing->exchange, &changing->who, changing->act, status,
                  car_tenant_id(changing->change.tenant), target_of(changing, room));
}

static void refuse(struct car_changing *changing, int status, const char *why) {
    tell(changing, status);
    car_respond_problem(changing->exchange, status, why, NULL, NULL);
}

/* What it is answered with where it is made. */
static int status_of(const struct car_log_change *change) {
    switch (change->kind) {
    case CAR_LOG_TENANT_PUT:
        return change->fresh ? 201 : 200;
    case CAR_LOG_KEY_PUT:
        return 201;
    default:
        return 204;
    }
}

static void on_done(struct car_log_change *change) {
    struct car_changing *changing = (struct car_changing *)change; /* its first member */
    switch (change->status) {
    case 0:
        tell(changing, status_of(change));
        changing->answer(changing);
        break;
    case CAR_ECLOSED:
        refuse(changing, 404, "there is no such tenant");
        break;
    default:
        refuse(changing, 503, "the store takes nothing");
        break;
    }
    changing_free(changing);
}

struct car_changing *car_changing_new(struct car_call *call, enum car_log_change_kind kind, struct car_tenant *tenant,
                                      void (*answer)(struct car_changing *changing)) {
    struct car_changing *changing = calloc(1, sizeof *changing);
    if (!changing) {
        car_audit_act_refused(call, 503, "out of memory", NULL);
        return NULL;
    }
    changing->change = (struct car_log_change){.kind = kind, .tenant = tenant, .done = on_done};
    changing->exchange = call->exchange;
    changing->api = call->api;
    changing->who = call->who;
    (void)car_grant_ref(changing->who.grant);
    changing->act = call->act;
    changing->answer = answer;
    return changing;
}

void car_changing_make_key(struct car_changing *changing) {
    struct car_key key;
    car_key_make(&key, changing->text);
    changing->key = key.account;
    changing->key.scopes = SCOPES;
    changing->key.created_ms = car_clock_wall_ms();
    changing->change.key = &changing->key;
}

bool car_changing_let_in(struct car_changing *changing) {
    struct car_tenant *tenant = changing->change.tenant;
    struct car_key key = {.account = changing->key};
    key.grant = car_grant_new_of_key(tenant, changing->key.kid, changing->key.scopes);
    int err = key.grant ? car_keys_add(changing->api->auth.keys, changing->change.worker->reader, &key) : CAR_ENOMEM;
    car_grant_unref(&key.grant);
    if (err) {
        car_respond_problem(changing->exchange, 503, "out of memory", NULL, NULL);
    }
    return !err;
}

void car_changing_close(struct car_changing *changing) {
    const struct car_feed *feed = changing->api->feed;
    for (unsigned i = 0; i < feed->worker_count; i++) {
        car_lease_look(feed->workers[i]);
    }
}

void car_changing_send(struct car_changing *changing, struct car_call *call) {
    car_change(&changing->change, call->worker);
}
