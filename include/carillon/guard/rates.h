#ifndef CARILLON_GUARD_RATES_H
#define CARILLON_GUARD_RATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/address.h"
#include "carillon/base/buf.h"
#include "carillon/feed/account.h"
#include "carillon/guard/grant.h"
#include "carillon/guard/rate_fields.h"

struct car_buckets;
struct car_reader;

/*
 * All limits that a request is held to, in the order in which they are asked. A request pays for all of them or for
 * none: where one refuses, what the former have taken is given back.
 *
 *   ip      requests from an address; of IPv6 from a /64 (car_address_key)
 *   user    requests of a user of a tenant: a credential's subject, or an API key; of nobody else
 *   tenant  events that a tenant publishes: its own limit (account.h), or else the server's
 *   bytes   of their messages and metadata, as JSON and as they were sent, in a second: its own limit, or none
 */
enum car_rate_which { CAR_RATE_IP, CAR_RATE_USER, CAR_RATE_TENANT, CAR_RATE_BYTES, CAR_RATES };

/* Addresses, and users, that are told apart at a time; see buckets.h for what comes beyond. Some 32 MB of each. */
#define CAR_RATE_KEYS_MAX ((size_t)1 << 18)

/* The server's limits. Filled before the workers run, never changed while they do; what the pointers lead to is any
 * thread's. States of tenants lie with the tenants. */
struct car_rates {
    struct car_rate_limit ip, user, tenant; /* count 0: off */
    struct car_gcra tenant_gcra;
    struct car_buckets *ips, *users; /* NULL where off */
    uint64_t (*clock)(void);         /* car_clock_mono_ns */
};

/* Prepares it, once `ip`, `user` and `tenant` are there and the rest is zero. 0 or CAR_ENOMEM. */
int car_rates_open(struct car_rates *rates);

/* After all threads that use it have ended; it may be zero. */
void car_rates_close(struct car_rates *rates);

#define CAR_RATE_USER_KEY_MAX (sizeof(void *) + 1 + CAR_SUBJECT_MAX)

/* What a request has taken, and how the limits stand that it is held to. On its thread's stack, and uninitialized but
 * for car_takings_init: a request that meets no limit pays nothing for it. */
struct car_takings {
    unsigned count; /* limits that it has met: `fields`, `which` and `at_ns` */
    bool refused;   /* by the last of them */
    bool shown;     /* lines of it are in the answer's head, from `mark` on */
    size_t mark;    /* the caller's, like the next */
    uint64_t bytes; /* of what it publishes */
    struct car_rate_field fields[CAR_RATES];
    enum car_rate_which which[CAR_RATES];
    uint64_t at_ns[CAR_RATES];
    char ip[1 + sizeof(struct car_address)];
    size_t user_len;
    char user[CAR_RATE_USER_KEY_MAX];
};

static inline void car_takings_init(struct car_takings *takings) {
    takings->count = 0;
    takings->refused = false;
    takings->shown = false;
    takings->bytes = 0;
}

/*
 * Each takes what a request costs of one limit: 0, also where that limit is not set; CAR_EFULL where it is too much
 * now, CAR_ETOOBIG where it is more than the whole limit, so that waiting would not help. Then `refused` is set, and
 * whatever was taken is given back. `takings` is told of each limit that there is. Any thread with a reader; no lock,
 * but where an address or a user is new (buckets.h).
 */

/* One request from there. Guesses are counted apart from requests, by the same limit: what is an attempt to get in and
 * no request beside, which is given back where it succeeds. */
int car_rates_take_ip(const struct car_rates *rates, struct car_reader *reader, const struct car_address *client,
                      bool guess, struct car_takings *takings);

/* One request of whom that credential, NULL where there is none, is of. */
int car_rates_take_user(const struct car_rates *rates, struct car_reader *reader, const struct car_tenant *tenant,
                        const struct car_grant *grant, struct car_takings *takings);

/* So many events of so many bytes, all or none. */
int car_rates_take_events(const struct car_rates *rates, struct car_reader *reader, struct car_tenant *tenant,
                          uint64_t events, uint64_t bytes, struct car_takings *takings);

/* Gives back what was taken of `ip` and `user`, as it was for nothing; `takings` says how they stand then. */
void car_rates_give_back(const struct car_rates *rates, struct car_reader *reader, struct car_takings *takings);

/* How long to wait, in ns; CAR_RATE_NEVER where that would not help. Of what was refused. */
uint64_t car_takings_retry(const struct car_takings *takings);

/* Why it was refused, in words for its author; static. */
const char *car_takings_why(const struct car_takings *takings);

#endif
