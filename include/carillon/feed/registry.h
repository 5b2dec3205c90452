#ifndef CARILLON_FEED_REGISTRY_H
#define CARILLON_FEED_REGISTRY_H

#include <stddef.h>

#include "carillon/base/span.h"
#include "carillon/feed/tenant.h"

struct car_reader;
struct car_reclaim;

/*
 * The tenants by id: a ck_hs that any thread reads without a lock, inside a reader's section; writers take turns behind
 * a mutex (they are rare: a tenant is made or removed). A tenant that was found stays valid for the process's life,
 * whether it is removed or not: sessions and publishers may have it. A removed one has nothing but its struct, and the
 * ring of its inlet where publishers have met: 300 bytes, or 8 KiB more.
 */
struct car_registry;

/* `max` tenants at most. NULL without memory. */
struct car_registry *car_registry_new(size_t max);

/* Frees the registry with its tenants, after all threads have ended. */
void car_registry_free(struct car_registry **registry);

/* The tenant, or NULL. No lock. Any thread with a reader. */
struct car_tenant *car_registry_find(struct car_registry *registry, struct car_reader *reader, struct car_span id);

/* Adds a new tenant. 0; CAR_EEXIST (and *out is the one that is there), CAR_EINVAL (id), CAR_EFULL (max reached),
 * CAR_ENOMEM. What the set outgrows is retired through `reader`, for its next car_reader_poll. Any thread with a
 * reader. */
int car_registry_add(struct car_registry *registry, struct car_reader *reader, struct car_span id,
                     struct car_tenant **out);

/* Takes the tenant out: from now on it is not found, its id may be added anew, and what is published to it is refused
 * (car_tenant_is_removed). Harmless when repeated. By the tenant's log, when that has been made durable. Any thread
 * with a reader. */
void car_registry_remove(struct car_registry *registry, struct car_reader *reader, struct car_tenant *tenant);

/* Of those that are not removed. */
size_t car_registry_count(const struct car_registry *registry);

/* Calls `visit` for each tenant, in no particular order; a tenant added meanwhile may be missed. Takes the writers'
 * mutex: not for a hot path, and `visit` must not add. */
void car_registry_each(struct car_registry *registry, void (*visit)(struct car_tenant *tenant, void *user), void *user);

/* The same for those that were removed. */
void car_registry_each_removed(struct car_registry *registry, void (*visit)(struct car_tenant *tenant, void *user),
                               void *user);

#endif
