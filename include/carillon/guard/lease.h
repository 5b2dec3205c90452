#ifndef CARILLON_GUARD_LEASE_H
#define CARILLON_GUARD_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "carillon/guard/grant.h"
#include "carillon/runtime/mailbox.h"

struct car_identity;
struct car_lease_end;
struct car_tenant;
struct car_worker;

/*
 * What a connection that stays open was let in with. When that ends, or its time is up, or the tenant is removed, its
 * holder is told. A worker's leases hang in a list of its desk; all but the desk's `asked` is the worker's thread's.
 * What ends by itself has a timer on the worker's wheel.
 */
struct car_lease {
    struct car_lease *next, **pprev;
    const struct car_tenant *tenant;
    struct car_grant *grant;   /* NULL where a name was enough */
    struct car_lease_end *end; /* NULL where the grant never ends by itself */
    /* It has ended. Once, at the most. Ends the connection, but drops no lease before it returns. */
    void (*ended)(void *holder);
    void *holder;
};

struct car_lease_desk {
    struct car_lease *leases;
    struct car_note note;
    atomic_bool asked; /* the note is on its way; turned on by whoever posts it, off by the worker before it looks */
};

/* Ties a desk to a worker that does not run yet. 0 or CAR_ENOMEM. */
int car_lease_attach(struct car_worker *worker);

/* The worker's thread has ended, and its connections with it. */
void car_lease_detach(struct car_worker *worker);

/* Takes a lease on what `who` was let in with. 0; CAR_ENOMEM; CAR_ECLOSED where it has ended already. On the worker's
 * thread. */
int car_lease_take(struct car_lease **out, struct car_worker *worker, const struct car_identity *who,
                   void (*ended)(void *holder), void *holder);

/*
 * Another token takes the place of the one that the lease is on: of the same tenant, for the same subject. The lease
 * ends when that does. 0; CAR_EINVAL where the lease is not on a token, or `who` was not let in with one, or is another
 * one; CAR_ECLOSED where either has ended. What failed changes nothing. On the worker's thread.
 */
int car_lease_renew(struct car_lease *lease, const struct car_identity *who);

/* Whether it has ended, by the clock: perhaps before its holder is told. false of NULL. On the worker's thread. */
bool car_lease_has_ended(const struct car_lease *lease);

/* Whether it is on a token (car_grant_is_token). */
static inline bool car_lease_is_token(const struct car_lease *lease) {
    return lease && lease->end;
}

/* Gives it back and nulls the pointer; NULL inside is allowed. On the worker's thread. */
void car_lease_drop(struct car_lease **lease);

/* Who holds it, by name; absent where it is nobody by name, or there is no lease. Lives as long as the lease, or until
 * it is renewed. */
static inline struct car_span car_lease_name(const struct car_lease *lease) {
    return lease ? car_grant_subject(lease->grant) : car_span_of(NULL, 0);
}

/* Has the worker look for leases that have ended, soon. Any thread, after it has ended grants or removed a tenant. */
void car_lease_look(struct car_worker *worker);

#endif
