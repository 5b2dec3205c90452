#ifndef CARILLON_API_REFUSALS_H
#define CARILLON_API_REFUSALS_H

#include <stdint.h>

#include "carillon/base/address.h"
#include "carillon/base/span.h"
#include "carillon/feed/tenant.h"
#include "carillon/net/exchange.h"

struct car_audit_entry;
struct car_worker;

#define CAR_REFUSALS_KEPT  128 /* by each worker; older ones make room */
#define CAR_REFUSED_REASON 160
#define CAR_REFUSED_PATH   64

/* Something that was refused for who asked, or how much. No text in it is a client's own, but for its request's id. */
struct car_refused {
    int64_t at_ms;   /* since 1970 */
    const char *act; /* the audit log's word; static */
    int status;
    char method[8];                     /* empty where it was no request of HTTP's */
    char path[CAR_REFUSED_PATH];        /* of the route, with {id} for what stands there; of Socket.IO the namespace */
    char tenant[CAR_TENANT_ID_MAX + 1]; /* whose it was, or was said to be; empty where there is none of that name */
    char client[CAR_ADDRESS_TEXT];      /* empty where nobody knows */
    char reason[CAR_REFUSED_REASON];    /* words of ours */
    char request_id[CAR_REQUEST_ID_MAX + 1];
};

/*
 * A worker's newest refusals, in a ring of fixed size.
 *
 * Owner: the worker's thread, the only one that writes and the only one that reads: who wants to know asks it with a
 * note (survey.h), and gets a copy. So there is no ordering to keep. Reclamation: with the worker. Pages of the ring
 * that were never written to cost no memory.
 */
struct car_refusals {
    uint64_t count; /* since the process began; the ring holds the last of them */
    struct car_refused ring[CAR_REFUSALS_KEPT];
};

/* The worker's. */
struct car_refusals *car_refusals_of(const struct car_worker *worker);

/* Enters what the audit log is told of a refusal. `tenant` is whose it is, NULL where nobody has shown that: then the
 * entry's counts where there is a tenant of that id, for what else stands there may be anything. On the worker's
 * thread. */
void car_refusals_note(struct car_worker *worker, const struct car_audit_entry *entry, struct car_tenant *tenant);

/* Copies the newest ones, newest first, at most `max`. Returns how many. On the worker's thread. */
unsigned car_refusals_copy(const struct car_refusals *refusals, struct car_refused *out, unsigned max);

#endif
