#ifndef CARILLON_STORE_NUMBERED_H
#define CARILLON_STORE_NUMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct car_tenant;

/*
 * The tenants that have a row in a store, or are about to. Their numbers are given here, so that nothing has to be
 * asked for while events are stored. Of one thread.
 */
struct car_numbered_tenant {
    const struct car_tenant *tenant;
    int64_t n;
    uint64_t newest; /* committed */
    bool rooted;     /* it has a row, committed; of stores that have to know */
    uint64_t turn;   /* the transaction in which it last was */
    uint32_t share;  /* its place in that */
};

struct car_numbered {
    struct car_numbered_tenant *items;
    uint32_t count, cap;
    uint32_t *table; /* open addressing: places in `items`, from 1 on; 0 is free */
    uint32_t slots;  /* a power of two; 0 at first */
    int64_t last_n;
};

/* The tenant's place in `items`, a new one, with the next number, where it had none. CAR_ENOMEM. */
int car_numbered_get(struct car_numbered *numbered, const struct car_tenant *tenant, uint32_t *at);

/* Puts a tenant that has that number already. 0 or CAR_ENOMEM. */
int car_numbered_put(struct car_numbered *numbered, const struct car_tenant *tenant, int64_t n);

/* That number, and those below it, are given to nobody. */
void car_numbered_reserve(struct car_numbered *numbered, int64_t n);

void car_numbered_free(struct car_numbered *numbered);

#endif
