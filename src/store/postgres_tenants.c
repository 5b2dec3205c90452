#include "postgres_tenants.h"

#include <stdlib.h>

#include "carillon/base/err.h"

#define SLOTS_MIN 64u

static uint32_t place_of(const struct car_pg_tenants *tenants, const struct car_tenant *tenant) {
    uint64_t hash = (uint64_t)(uintptr_t)tenant * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) & (tenants->slots - 1);
}

/* The slot that has the tenant, or the free one that is to have it. */
static uint32_t *find(const struct car_pg_tenants *tenants, const struct car_tenant *tenant) {
    uint32_t at = place_of(tenants, tenant);
    while (tenants->table[at] && tenants->items[tenants->table[at] - 1].tenant != tenant) {
        at = (at + 1) & (tenants->slots - 1);
    }
    return &tenants->table[at];
}

/* Room for one more: at most half of the slots are used. */
static int grow(struct car_pg_tenants *tenants) {
    uint32_t slots = tenants->slots ? tenants->slots * 2 : SLOTS_MIN;
    struct car_pg_tenant *items = realloc(tenants->items, slots / 2 * sizeof *items);
    tenants->items = items ? items : tenants->items;
    uint32_t *table = items ? calloc(slots, sizeof *table) : NULL;
    if (!table) {
        return CAR_ENOMEM;
    }
    free(tenants->table);
    tenants->table = table;
    tenants->slots = slots;
    tenants->cap = slots / 2;
    for (uint32_t i = 0; i < tenants->count; i++) {
        *find(tenants, items[i].tenant) = i + 1;
    }
    return 0;
}

int car_pg_tenants_get(struct car_pg_tenants *tenants, const struct car_tenant *tenant, uint32_t *at) {
    if (tenants->count == tenants->cap && grow(tenants) != 0) {
        return CAR_ENOMEM;
    }
    uint32_t *slot = find(tenants, tenant);
    if (!*slot) {
        tenants->items[tenants->count] = (struct car_pg_tenant){.tenant = tenant, .n = ++tenants->last_n};
        *slot = ++tenants->count;
    }
    *at = *slot - 1;
    return 0;
}

void car_pg_tenants_free(struct car_pg_tenants *tenants) {
    free(tenants->items);
    free(tenants->table);
    *tenants = (struct car_pg_tenants){0};
}
