#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/feed/account.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "audit.h"
#include "call.h"
#include "respond.h"

/* The tenants, to be put in order: the registry knows none. */
struct roll {
    struct car_tenant **tenants;
    size_t count, cap;
};

static void add(struct car_tenant *tenant, void *user) {
    struct roll *roll = user;
    if (roll->count < roll->cap) {
        roll->tenants[roll->count++] = tenant;
    }
}

static int by_id(const void *a, const void *b) {
    struct car_span left = car_tenant_id(*(struct car_tenant *const *)a);
    struct car_span right = car_tenant_id(*(struct car_tenant *const *)b);
    return strcmp(left.ptr, right.ptr); /* ids end in a NUL, and hold none */
}

static json_t *row(struct car_reader *reader, const struct car_tenant *tenant) {
    char at[CAR_RFC3339_LEN];
    car_rfc3339_write(car_tenant_created_ms(tenant), at);
    struct car_span id = car_tenant_id(tenant);
    car_reader_enter(reader);
    const char *name = car_tenant_terms(tenant)->name;
    json_t *row = json_pack("{s:s%,s:s,s:s%}", "id", id.ptr, id.len, "name", name[0] ? name : id.ptr, "created_at", at,
                            sizeof at);
    car_reader_leave(reader);
    return row;
}

void car_tenant_list(struct car_call *call) {
    call->act = "tenant_list";
    struct car_registry *registry = call->api->feed->registry;
    struct roll roll = {.cap = car_registry_count(registry)};
    roll.tenants = calloc(roll.cap + 1, sizeof(struct car_tenant *));
    json_t *list = roll.tenants ? json_array() : NULL;
    if (list) {
        car_registry_each(registry, add, &roll);
        qsort(roll.tenants, roll.count, sizeof(struct car_tenant *), by_id);
        for (size_t i = 0; i < roll.count; i++) {
            json_array_append_new(list, row(call->worker->reader, roll.tenants[i]));
        }
    }
    free(roll.tenants);
    if (call->api->auth.mode != CAR_AUTH_OPEN) {
        car_audit_act_read(call);
    }
    car_respond_json(call->exchange, 200, list ? json_pack("{s:o}", "tenants", list) : NULL);
}
