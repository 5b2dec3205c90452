#ifndef CARILLON_FEED_ACCOUNT_H
#define CARILLON_FEED_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/mailbox.h"

struct car_feed;
struct car_log;
struct car_log_change;
struct car_reader;
struct car_worker;

/*
 * What a log keeps of tenants and their keys beside events. The registry is what everybody looks at; the log makes a
 * change durable first, and then makes it there. A tenant has a row from its first change or its first event on.
 */

#define CAR_TENANT_NAME_MAX    128 /* bytes of UTF-8 */
#define CAR_ACCOUNT_KID_LEN    22
#define CAR_ACCOUNT_PREFIX_MAX 16

/* In each, 0 is the server's default; none is above INT64_MAX. */
struct car_tenant_limits {
    uint64_t events, events_window_ms; /* so many events in so long a time */
    uint64_t bytes_s;
    uint64_t connections;
    uint64_t message_bytes;
    uint64_t buffer_events; /* kept in memory */
    uint64_t retention_ms, retention_count;
};

/* The same as numbers, in that order, which a store keeps to. */
#define CAR_TENANT_LIMITS 8
void car_tenant_limits_put(const struct car_tenant_limits *limits, int64_t out[CAR_TENANT_LIMITS]);

/* false where one of the numbers is negative. */
bool car_tenant_limits_take(struct car_tenant_limits *limits, const int64_t numbers[CAR_TENANT_LIMITS]);

/* How a tenant is called, and what it may. Immutable once it is a tenant's. */
struct car_tenant_terms {
    char name[CAR_TENANT_NAME_MAX + 1]; /* UTF-8, NUL-terminated; empty where it has none but its id */
    struct car_tenant_limits limits;
};

/* Members of terms, as bits. */
enum car_tenant_member {
    CAR_TENANT_NAME = 1 << 0,
    CAR_TENANT_LIMIT_EVENTS = 1 << 1, /* with its window */
    CAR_TENANT_LIMIT_BYTES = 1 << 2,
    CAR_TENANT_LIMIT_CONNECTIONS = 1 << 3,
    CAR_TENANT_LIMIT_MESSAGE = 1 << 4,
    CAR_TENANT_LIMIT_BUFFER = 1 << 5,
    CAR_TENANT_RETENTION = 1 << 6, /* both of it */
};

/* Gives `terms` those members of `base` that are not among `members`. */
void car_tenant_terms_merge(struct car_tenant_terms *terms, const struct car_tenant_terms *base, unsigned members);

/* Whether a text may be a name: up to CAR_TENANT_NAME_MAX bytes of UTF-8 without control characters. */
bool car_tenant_name_ok(struct car_span name);

/* The tenant's terms, never NULL; valid until the caller's section ends (reclaim.h), or, outside of one, not at all. No
 * lock. Any thread with a reader. */
const struct car_tenant_terms *car_tenant_terms(const struct car_tenant *tenant);

/* Gives the tenant other terms, which are copied; the former ones are retired through `reader`. By its log, or before
 * anybody else sees it. 0 or CAR_ENOMEM. */
int car_tenant_set_terms(struct car_tenant *tenant, struct car_reader *reader, const struct car_tenant_terms *terms);

/* What is counted of a tenant by limits of its own. */
enum car_tenant_counted {
    CAR_TENANT_EVENTS, /* limits.events */
    CAR_TENANT_BYTES,  /* limits.bytes_s */
    CAR_TENANT_COUNTED,
};

/* Whether its terms have such a limit; a look at one flag. Any thread. */
bool car_tenant_is_counted(const struct car_tenant *tenant);

/*
 * Where guard/rates.h keeps what was taken of such a limit: of terms that car_tenant_terms has returned, and valid as
 * long as they are; 0 to begin with. It begins anew with terms whose limit is another, and goes on where it is the
 * same, whatever else changes. NULL where they have no such limit. Any thread may do anything with it.
 */
_Atomic uint64_t *car_tenant_terms_state(const struct car_tenant_terms *terms, enum car_tenant_counted which);

/* The same for a limit that is the server's, and not of the terms; valid as long as the tenant. */
_Atomic uint64_t *car_tenant_state(struct car_tenant *tenant);

/* How many subscribers of the tenant have come lately, for who lets them in (guard/admission.h); valid as long as the
 * tenant. */
_Atomic uint64_t *car_tenant_came(struct car_tenant *tenant);

/* Whether the tenant was removed. It is in no registry then, what is published to it is refused, and its id may be
 * another's. The struct stays valid; it never comes back. Any thread. */
bool car_tenant_is_removed(const struct car_tenant *tenant);

/* A key that was handed out, of which no more than a digest is known. */
struct car_account_key {
    char kid[CAR_ACCOUNT_KID_LEN + 1];       /* unique among all tenants' */
    char tenant[CAR_TENANT_ID_MAX + 1];      /* whose it is */
    char prefix[CAR_ACCOUNT_PREFIX_MAX + 1]; /* what people tell it by */
    uint8_t digest[32];                      /* SHA-256 of the key */
    uint32_t scopes;                         /* bits, guard's */
    int64_t created_ms;
};

/* What is told of the keys that a log has when it is opened, before the log's threads run: each of them once, in no
 * order, the tenant being in the registry by then. Borrowed for the call. */
typedef void (*car_account_key_fn)(void *user, const struct car_account_key *key);

enum car_log_change_kind {
    CAR_LOG_TENANT_PUT,    /* the tenant has these terms from now on, and one key more, where one is given */
    CAR_LOG_TENANT_REMOVE, /* and all that it has: keys, events, what is known of repeats */
    CAR_LOG_KEY_PUT,       /* a new key */
    CAR_LOG_KEY_REMOVE,    /* harmless where there is none of that kid */
};

/*
 * A change that is to be durable. What it points to is the caller's, and lives until `done`.
 *
 * TENANT_REMOVE: with status 0 the tenant is out of the registry (car_tenant_is_removed), nothing brings it back, and
 * what is published to it is refused from then on. Its id may be used anew at once. Its events are not found any more;
 * they are deleted little by little, over restarts too. Neither are they known by their ids (car_tenant_salt).
 */
struct car_log_change {
    struct car_note note; /* first; the log's until `done` */

    /* set by the caller */
    enum car_log_change_kind kind;
    struct car_tenant *tenant;
    struct car_tenant_terms *terms; /* TENANT_PUT */
    bool partly;                    /* TENANT_PUT: `members` of the terms are changed alone; the others become what
                                       the tenant has when it is stored */
    unsigned members;
    const struct car_account_key *key; /* KEY_PUT; TENANT_PUT, or NULL; KEY_REMOVE: its kid. `tenant` in it is not
                                          looked at */
    bool fresh;                        /* TENANT_PUT: the caller has just put it into the registry. Where the change
                                          fails, and nobody has published to it, it is taken out again (removed) */
    void (*done)(struct car_log_change *change);

    /* the feed's and the log's, until `done` */
    struct car_worker *worker;
    struct car_log *log;
    struct car_log_change *next;
    struct car_tenant_kept *kept;
    int status; /* for `done`: 0; CAR_ESYS where the store took nothing, and CAR_ENOMEM: nothing has changed;
                   CAR_ECLOSED where the tenant was removed before */
};

/* Has the change made: `done` will be called exactly once on this worker's thread, perhaps before this returns. What
 * one thread has changed of a tenant keeps its order. On a worker's thread. */
void car_change(struct car_log_change *change, struct car_worker *worker);

/* The log's side. Before it is stored: 0; else how it is to be settled, and it is not to be stored. `before`: the last
 * TENANT_PUT of the same tenant that is prepared and not settled, NULL where there is none. One thread at a time for
 * each tenant. */
int car_change_prepare(struct car_log_change *change, const struct car_log_change *before);

/* It is stored, or it was refused: makes it so in the registry, and has `done` called. With status 0 the log becomes
 * the drainer of a tenant that was removed as soon as it can (car_drain_close). `self` is the calling thread's worker;
 * on one thread at a time for each tenant. */
void car_change_settle(struct car_feed *feed, struct car_log_change *change, int status, struct car_worker *self);

#endif
