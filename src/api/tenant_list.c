#include <jansson.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/registry.h"
#include "carillon/feed/tenant.h"

#include "call.h"
#include "respond.h"

static void add(struct car_tenant *tenant, void *user) {
    json_t *list = user;
    char at[CAR_RFC3339_LEN];
    car_rfc3339_write(car_tenant_created_ms(tenant), at);
    struct car_span id = car_tenant_id(tenant);
    json_array_append_new(
        list, json_pack("{s:s%,s:s%,s:s%}", "id", id.ptr, id.len, "name", id.ptr, id.len, "created_at", at, sizeof at));
}

void car_tenant_list(struct car_call *call) {
    json_t *list = json_array();
    car_registry_each(call->api->feed->registry, add, list);
    car_respond_json(call->exchange, 200, json_pack("{s:o}", "tenants", list));
}
