#ifndef CARILLON_STORE_POSTGRES_TENANTS_H
#define CARILLON_STORE_POSTGRES_TENANTS_H

#include <stddef.h>
#include <stdint.h>

struct car_tenant;

/* The tenants that have a row, or are about to: their numbers are given here, so that nothing has to be asked for while
 * events are stored. Of one thread. */
struct car_pg_tenant {
    const struct car_tenant *tenant;
    int64_t n;
    uint64_t newest; /* committed */
    uint64_t turn;   /* the transaction in which it last was */
    uint32_t share;  /* its place in that */
};

struct car_pg_tenants {
    struct car_pg_tenant *items;
    uint32_t count, cap;
    uint32_t *table; /* open addressing: places in `items`, from 1 on; 0 is free */
    uint32_t slots;  /* a power of two; 0 at first */
    int64_t last_n;
};

/* The tenant's place in `items`, a new one, with the next number, where it had none. CAR_ENOMEM. */
int car_pg_tenants_get(struct car_pg_tenants *tenants, const struct car_tenant *tenant, uint32_t *at);

void car_pg_tenants_free(struct car_pg_tenants *tenants);

#endif
