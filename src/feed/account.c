#include "carillon/feed/account.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/base/utf8.h"
#include "carillon/runtime/reclaim.h"

#include "account_state.h"
#include "tenant_state.h"

static_assert(sizeof(struct car_tenant_limits) == CAR_TENANT_LIMITS * sizeof(uint64_t), "all of them, and no more");

void car_tenant_limits_put(const struct car_tenant_limits *limits, int64_t out[CAR_TENANT_LIMITS]) {
    memcpy(out, limits, sizeof *limits);
}

bool car_tenant_limits_take(struct car_tenant_limits *limits, const int64_t numbers[CAR_TENANT_LIMITS]) {
    for (unsigned i = 0; i < CAR_TENANT_LIMITS; i++) {
        if (numbers[i] < 0) {
            return false;
        }
    }
    memcpy(limits, numbers, sizeof *limits);
    return true;
}

bool car_tenant_name_ok(struct car_span name) {
    if (name.len > CAR_TENANT_NAME_MAX || !car_utf8_valid(name.ptr, name.len)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

void car_tenant_terms_merge(struct car_tenant_terms *terms, const struct car_tenant_terms *base, unsigned members) {
    const struct car_tenant_terms changed = *terms;
    const struct car_tenant_limits *limits = &changed.limits;
    *terms = *base;
    if (members & CAR_TENANT_NAME) {
        memcpy(terms->name, changed.name, sizeof changed.name);
    }
    if (members & CAR_TENANT_LIMIT_EVENTS) {
        terms->limits.events = limits->events;
        terms->limits.events_window_ms = limits->events_window_ms;
    }
    if (members & CAR_TENANT_LIMIT_BYTES) {
        terms->limits.bytes_s = limits->bytes_s;
    }
    if (members & CAR_TENANT_LIMIT_CONNECTIONS) {
        terms->limits.connections = limits->connections;
    }
    if (members & CAR_TENANT_LIMIT_MESSAGE) {
        terms->limits.message_bytes = limits->message_bytes;
    }
    if (members & CAR_TENANT_LIMIT_BUFFER) {
        terms->limits.buffer_events = limits->buffer_events;
    }
    if (members & CAR_TENANT_RETENTION) {
        terms->limits.retention_ms = limits->retention_ms;
        terms->limits.retention_count = limits->retention_count;
    }
}

const struct car_tenant_terms *car_tenant_terms(const struct car_tenant *tenant) {
    static const struct car_tenant_terms none = {0};
    const struct car_tenant_kept *kept = atomic_load_explicit(&tenant->kept, memory_order_acquire);
    return kept ? &kept->terms : &none;
}

bool car_tenant_is_counted(const struct car_tenant *tenant) {
    return atomic_load_explicit(&tenant->counted, memory_order_relaxed);
}

_Atomic uint64_t *car_tenant_terms_state(const struct car_tenant_terms *terms, enum car_tenant_counted which) {
    if (terms->limits.events == 0 && terms->limits.bytes_s == 0) {
        return NULL; /* nor may they be of a tenant that has none */
    }
    const struct car_tenant_kept *kept =
        (const struct car_tenant_kept *)((const char *)terms - offsetof(struct car_tenant_kept, terms));
    return kept->tallies[which] ? &kept->tallies[which]->state : NULL;
}

_Atomic uint64_t *car_tenant_state(struct car_tenant *tenant) {
    return &tenant->taken;
}

_Atomic uint64_t *car_tenant_came(struct car_tenant *tenant) {
    return &tenant->came;
}

static bool has_limit(const struct car_tenant_limits *limits, enum car_tenant_counted which) {
    return which == CAR_TENANT_EVENTS ? limits->events > 0 : limits->bytes_s > 0;
}

static bool same_limit(const struct car_tenant_limits *a, const struct car_tenant_limits *b,
                       enum car_tenant_counted which) {
    return which == CAR_TENANT_EVENTS ? a->events == b->events && a->events_window_ms == b->events_window_ms
                                      : a->bytes_s == b->bytes_s;
}

static struct car_tenant_tally *tally_new(void) {
    struct car_tenant_tally *tally = calloc(1, sizeof *tally);
    if (tally) {
        atomic_init(&tally->refs, 1);
    }
    return tally;
}

static void tally_unref(struct car_tenant_tally **tally) {
    struct car_tenant_tally *t = *tally;
    *tally = NULL;
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        free(t);
    }
}

struct car_tenant_kept *car_tenant_kept_new(const struct car_tenant_terms *terms) {
    struct car_tenant_kept *kept = calloc(1, sizeof *kept);
    bool whole = kept != NULL;
    for (enum car_tenant_counted i = CAR_TENANT_EVENTS; i < CAR_TENANT_COUNTED && whole; i++) {
        kept->tallies[i] = has_limit(&terms->limits, i) ? tally_new() : NULL;
        whole = kept->tallies[i] || !has_limit(&terms->limits, i);
    }
    if (!whole) {
        car_tenant_kept_free(&kept);
        return NULL;
    }
    kept->terms = *terms;
    return kept;
}

void car_tenant_kept_free(struct car_tenant_kept **kept) {
    for (unsigned i = 0; *kept && i < CAR_TENANT_COUNTED; i++) {
        tally_unref(&(*kept)->tallies[i]);
    }
    free(*kept);
    *kept = NULL;
}

static void on_retired(struct car_retired *retired) {
    struct car_tenant_kept *kept = (struct car_tenant_kept *)retired; /* its first member */
    car_tenant_kept_free(&kept);
}

/* What was taken of a limit that stays goes on being counted. */
static void carry_over(struct car_tenant_kept *kept, const struct car_tenant_kept *former) {
    for (enum car_tenant_counted i = CAR_TENANT_EVENTS; i < CAR_TENANT_COUNTED; i++) {
        if (kept->tallies[i] && former->tallies[i] && same_limit(&kept->terms.limits, &former->terms.limits, i)) {
            tally_unref(&kept->tallies[i]);
            kept->tallies[i] = former->tallies[i];
            atomic_fetch_add_explicit(&kept->tallies[i]->refs, 1, memory_order_relaxed);
        }
    }
}

static uint32_t at_most_u32(uint64_t number) {
    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

void car_tenant_keep(struct car_tenant *tenant, struct car_reader *reader, struct car_tenant_kept *kept) {
    bool counted = kept->tallies[CAR_TENANT_EVENTS] || kept->tallies[CAR_TENANT_BYTES];
    uint64_t buffer = kept->terms.limits.buffer_events;
    struct car_tenant_kept *former = atomic_load_explicit(&tenant->kept, memory_order_relaxed);
    atomic_store_explicit(&tenant->retain, kept->terms.limits.retention_count, memory_order_relaxed);
    atomic_store_explicit(&tenant->buffer, buffer < UINT_MAX ? (unsigned)buffer : UINT_MAX, memory_order_relaxed);
    atomic_store_explicit(&tenant->message_bytes, at_most_u32(kept->terms.limits.message_bytes), memory_order_relaxed);
    if (former) {
        carry_over(kept, former);
    }
    atomic_store(&tenant->kept, kept);
    atomic_store(&tenant->counted, counted); /* after it: who sees that something is, finds what */
    if (former) {
        car_reader_retire(reader, &former->retired, on_retired);
    }
}

int car_tenant_set_terms(struct car_tenant *tenant, struct car_reader *reader, const struct car_tenant_terms *terms) {
    struct car_tenant_kept *kept = car_tenant_kept_new(terms);
    if (!kept) {
        return CAR_ENOMEM;
    }
    car_tenant_keep(tenant, reader, kept);
    return 0;
}

bool car_tenant_is_removed(const struct car_tenant *tenant) {
    return atomic_load(&tenant->removed);
}
