#ifndef CARILLON_FEED_ACCOUNT_STATE_H
#define CARILLON_FEED_ACCOUNT_STATE_H

#include "carillon/feed/account.h"
#include "carillon/runtime/reclaim.h"

/* What was taken of one limit. Terms that follow each other with the same limit share it, each with a reference, so
 * that nobody gets a fresh start by being called otherwise. Any thread may take; the last reference frees it. */
struct car_tenant_tally {
    atomic_uint refs;
    _Atomic uint64_t state;
};

/* A tenant's terms, as it keeps them. Readers: any thread, inside a section. Whoever puts others in their place retires
 * them. */
struct car_tenant_kept {
    struct car_retired retired; /* first */
    struct car_tenant_terms terms;
    struct car_tenant_tally *tallies[CAR_TENANT_COUNTED]; /* NULL where there is no such limit */
};

/* A copy. NULL where memory ran out. */
struct car_tenant_kept *car_tenant_kept_new(const struct car_tenant_terms *terms);

/* Frees what no tenant has, or nobody sees any more. Nulls the pointer; NULL inside is allowed. */
void car_tenant_kept_free(struct car_tenant_kept **kept);

/* Takes it over. One thread at a time for each tenant. */
void car_tenant_keep(struct car_tenant *tenant, struct car_reader *reader, struct car_tenant_kept *kept);

#endif
