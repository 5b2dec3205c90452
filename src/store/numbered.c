#include "numbered.h"

#include <stdlib.h>

#include "carillon/base/err.h"

#define SLOTS_MIN 64u

static uint32_t place_of(const struct car_numbered *numbered, const struct car_tenant *tenant) {
    uint64_t hash = (uint64_t)(uintptr_t)tenant * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) & (numbered->slots - 1);
}

/* The slot that has the tenant, or the free one that is to have it. */
static uint32_t *find(const struct car_numbered *numbered, const struct car_tenant *tenant) {
    uint32_t at = place_of(numbered, tenant);
    while (numbered->table[at] && numbered->items[numbered->table[at] - 1].tenant != tenant) {
        at = (at + 1) & (numbered->slots - 1);
    }
    return &numbered->table[at];
}

/* Room for one more: at most half of the slots are used. */
static int grow(struct car_numbered *numbered) {
    uint32_t slots = numbered->slots ? numbered->slots * 2 : SLOTS_MIN;
    struct car_numbered_tenant *items = realloc(numbered->items, slots / 2 * sizeof *items);
    numbered->items = items ? items : numbered->items;
    uint32_t *table = items ? calloc(slots, sizeof *table) : NULL;
    if (!table) {
        return CAR_ENOMEM;
    }
    free(numbered->table);
    numbered->table = table;
    numbered->slots = slots;
    numbered->cap = slots / 2;
    for (uint32_t i = 0; i < numbered->count; i++) {
        *find(numbered, items[i].tenant) = i + 1;
    }
    return 0;
}

static int look(struct car_numbered *numbered, const struct car_tenant *tenant, uint32_t **slot) {
    if (numbered->count == numbered->cap && grow(numbered) != 0) {
        return CAR_ENOMEM;
    }
    *slot = find(numbered, tenant);
    return 0;
}

static void put(struct car_numbered *numbered, uint32_t *slot, const struct car_tenant *tenant, int64_t n) {
    numbered->items[numbered->count] = (struct car_numbered_tenant){.tenant = tenant, .n = n};
    numbered->last_n = n > numbered->last_n ? n : numbered->last_n;
    *slot = ++numbered->count;
}

int car_numbered_get(struct car_numbered *numbered, const struct car_tenant *tenant, uint32_t *at) {
    uint32_t *slot;
    int err = look(numbered, tenant, &slot);
    if (!err && !*slot) {
        put(numbered, slot, tenant, numbered->last_n + 1);
    }
    if (!err) {
        *at = *slot - 1;
    }
    return err;
}

int car_numbered_put(struct car_numbered *numbered, const struct car_tenant *tenant, int64_t n) {
    uint32_t *slot;
    int err = look(numbered, tenant, &slot);
    if (!err && !*slot) {
        put(numbered, slot, tenant, n);
    }
    return err;
}

void car_numbered_reserve(struct car_numbered *numbered, int64_t n) {
    numbered->last_n = n > numbered->last_n ? n : numbered->last_n;
}

void car_numbered_free(struct car_numbered *numbered) {
    free(numbered->items);
    free(numbered->table);
    *numbered = (struct car_numbered){0};
}
