#include "carillon/guard/rates.h"

#include <assert.h>
#include <string.h>

#include "carillon/base/clock.h"
#include "carillon/base/err.h"
#include "carillon/guard/buckets.h"
#include "carillon/runtime/reclaim.h"

#define BYTES_WINDOW_MS 1000

static const struct {
    const char *name, *unit;        /* as car_rate_field has them */
    const char *too_many, *too_big; /* why */
} LIMITS[CAR_RATES] = {
    [CAR_RATE_IP] = {"ip", NULL, "too many requests from this address", ""},
    [CAR_RATE_USER] = {"user", NULL, "too many requests of this user", ""},
    [CAR_RATE_TENANT] = {"tenant", NULL, "too many events of this tenant",
                         "these are more events than the tenant may publish at once"},
    [CAR_RATE_BYTES] = {"tenant-bytes", "content-bytes", "too many bytes of this tenant",
                        "this is more than the tenant may publish in a second"},
};

static_assert(CAR_RATE_USER_KEY_MAX <= CAR_BUCKET_KEY_MAX, "users are told apart by their whole names");

static int open_buckets(struct car_buckets **out, const struct car_rate_limit *limit, uint64_t now_ns) {
    *out = limit->count ? car_buckets_new(limit, CAR_RATE_KEYS_MAX, now_ns) : NULL;
    return *out || !limit->count ? 0 : CAR_ENOMEM;
}

int car_rates_open(struct car_rates *rates) {
    rates->clock = rates->clock ? rates->clock : car_clock_mono_ns;
    rates->tenant_gcra = car_gcra_make(&rates->tenant);
    int err = open_buckets(&rates->ips, &rates->ip, rates->clock());
    return err ? err : open_buckets(&rates->users, &rates->user, rates->clock());
}

void car_rates_close(struct car_rates *rates) {
    car_buckets_free(&rates->ips);
    car_buckets_free(&rates->users);
}

/* The next limit that is met, to be filled. */
static struct car_rate_field *meet(struct car_takings *takings, enum car_rate_which which,
                                   const struct car_rate_limit *limit, uint64_t now_ns) {
    unsigned i = takings->count++;
    takings->which[i] = which;
    takings->at_ns[i] = now_ns;
    takings->fields[i] =
        (struct car_rate_field){.name = LIMITS[which].name, .unit = LIMITS[which].unit, .limit = *limit};
    return &takings->fields[i];
}

static struct car_span key_of(const struct car_takings *takings, enum car_rate_which which) {
    return which == CAR_RATE_IP ? car_span_of(takings->ip, sizeof takings->ip)
                                : car_span_of(takings->user, takings->user_len);
}

/* Of what is counted by keys. */
static struct car_buckets *buckets_of(const struct car_rates *rates, enum car_rate_which which) {
    return which == CAR_RATE_IP ? rates->ips : which == CAR_RATE_USER ? rates->users : NULL;
}

void car_rates_give_back(const struct car_rates *rates, struct car_reader *reader, struct car_takings *takings) {
    unsigned taken = takings->count - (takings->refused ? 1 : 0);
    for (unsigned i = 0; i < taken; i++) {
        struct car_buckets *buckets = buckets_of(rates, takings->which[i]);
        if (buckets) {
            struct car_span key = key_of(takings, takings->which[i]);
            car_buckets_give_back(buckets, reader, key, takings->at_ns[i], 1, rates->clock);
            (void)car_buckets_take(buckets, reader, key, rates->clock(), 0, &takings->fields[i].state);
        }
    }
}

static int settle(const struct car_rates *rates, struct car_reader *reader, struct car_takings *takings, int err) {
    if (err) {
        takings->refused = true;
        car_rates_give_back(rates, reader, takings);
    }
    return err;
}

static int take_of_key(const struct car_rates *rates, struct car_reader *reader, enum car_rate_which which,
                       const struct car_rate_limit *limit, struct car_takings *takings) {
    uint64_t now = rates->clock();
    struct car_rate_field *field = meet(takings, which, limit, now);
    int err = car_buckets_take(buckets_of(rates, which), reader, key_of(takings, which), now, 1, &field->state);
    return settle(rates, reader, takings, err);
}

int car_rates_take_ip(const struct car_rates *rates, struct car_reader *reader, const struct car_address *client,
                      bool guess, struct car_takings *takings) {
    if (!rates->ips) {
        return 0;
    }
    struct car_address key = car_address_key(client);
    takings->ip[0] = guess ? 'g' : 'r';
    memcpy(takings->ip + 1, key.bytes, sizeof key.bytes);
    return take_of_key(rates, reader, CAR_RATE_IP, &rates->ip, takings);
}

/* Whose it is in a table of all tenants' users: no tenant's pointer is ever another's. false where it is nobody's. */
static bool write_user(struct car_takings *takings, const struct car_tenant *tenant, const struct car_grant *grant) {
    struct car_span name = car_grant_subject(grant);
    char kind = 's';
    if (name.len == 0) {
        name = grant ? car_span_cstr(grant->key_id) : car_span_of(NULL, 0);
        kind = 'k';
    }
    if (name.len == 0 && !car_grant_is_token(grant)) {
        return false; /* tokens that name nobody are one user */
    }
    char *end = mempcpy(takings->user, &tenant, sizeof tenant);
    *end++ = kind;
    end = mempcpy(end, name.ptr, name.len);
    takings->user_len = (size_t)(end - takings->user);
    return true;
}

int car_rates_take_user(const struct car_rates *rates, struct car_reader *reader, const struct car_tenant *tenant,
                        const struct car_grant *grant, struct car_takings *takings) {
    if (!rates->users || !write_user(takings, tenant, grant)) {
        return 0;
    }
    return take_of_key(rates, reader, CAR_RATE_USER, &rates->user, takings);
}

/* A limit of a tenant's, and its state. */
struct own {
    struct car_rate_limit limit;
    struct car_gcra gcra;
    _Atomic uint64_t *state; /* NULL where there is none */
};

/* A state that nobody has taken from is 0. */
static void begin(_Atomic uint64_t *state, const struct car_gcra *gcra, uint64_t now_ns) {
    uint64_t none = 0;
    if (atomic_load_explicit(state, memory_order_relaxed) == 0) {
        (void)atomic_compare_exchange_strong_explicit(state, &none, car_gcra_fresh(gcra, now_ns), memory_order_release,
                                                      memory_order_relaxed);
    }
}

/* A store may hold any number. */
static struct car_rate_limit within(uint64_t count, uint64_t window_ms) {
    window_ms = window_ms ? window_ms : BYTES_WINDOW_MS;
    return (struct car_rate_limit){
        .count = count < CAR_RATE_COUNT_MAX ? count : CAR_RATE_COUNT_MAX,
        .window_ms = window_ms < CAR_RATE_WINDOW_MS_MAX ? window_ms : CAR_RATE_WINDOW_MS_MAX,
    };
}

static struct own events_of(const struct car_rates *rates, struct car_tenant *tenant,
                            const struct car_tenant_terms *terms) {
    struct own own = {.state = car_tenant_terms_state(terms, CAR_TENANT_EVENTS)};
    if (own.state) {
        own.limit = within(terms->limits.events, terms->limits.events_window_ms);
        own.gcra = car_gcra_make(&own.limit);
    } else if (rates->tenant.count) {
        own = (struct own){.limit = rates->tenant, .gcra = rates->tenant_gcra, .state = car_tenant_state(tenant)};
    }
    return own;
}

static struct own bytes_of(const struct car_tenant_terms *terms) {
    struct own own = {.state = car_tenant_terms_state(terms, CAR_TENANT_BYTES)};
    if (own.state) {
        own.limit = within(terms->limits.bytes_s, BYTES_WINDOW_MS);
        own.gcra = car_gcra_make(&own.limit);
    }
    return own;
}

static int take_of_own(const struct own *own, enum car_rate_which which, uint64_t now, uint64_t cost,
                       struct car_takings *takings) {
    if (!own->state) {
        return 0;
    }
    struct car_rate_field *field = meet(takings, which, &own->limit, now);
    begin(own->state, &own->gcra, now);
    return car_gcra_take(own->state, &own->gcra, now, cost, &field->state);
}

/* The bytes were refused: the events are not published either. They were the last but one that was met. */
static void give_events_back(const struct car_rates *rates, const struct own *own, uint64_t now, uint64_t cost,
                             struct car_takings *takings) {
    if (own->state) {
        struct car_rate_state *told = &takings->fields[takings->count - 2].state;
        car_gcra_give_back(own->state, &own->gcra, now, cost, rates->clock);
        (void)car_gcra_take(own->state, &own->gcra, rates->clock(), 0, told);
    }
}

int car_rates_take_events(const struct car_rates *rates, struct car_reader *reader, struct car_tenant *tenant,
                          uint64_t events, uint64_t bytes, struct car_takings *takings) {
    if (!rates->tenant.count && !car_tenant_is_counted(tenant)) {
        return 0;
    }
    car_reader_enter(reader);
    const struct car_tenant_terms *terms = car_tenant_terms(tenant);
    struct own of_events = events_of(rates, tenant, terms);
    struct own of_bytes = bytes_of(terms);
    uint64_t now = rates->clock();
    int err = take_of_own(&of_events, CAR_RATE_TENANT, now, events, takings);
    if (!err) {
        err = take_of_own(&of_bytes, CAR_RATE_BYTES, now, bytes, takings);
        if (err) {
            give_events_back(rates, &of_events, now, events, takings);
        }
    }
    car_reader_leave(reader);
    return settle(rates, reader, takings, err);
}

uint64_t car_takings_retry(const struct car_takings *takings) {
    return takings->fields[takings->count - 1].state.retry;
}

const char *car_takings_why(const struct car_takings *takings) {
    enum car_rate_which which = takings->which[takings->count - 1];
    return car_takings_retry(takings) == CAR_RATE_NEVER ? LIMITS[which].too_big : LIMITS[which].too_many;
}
