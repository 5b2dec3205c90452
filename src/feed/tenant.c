#include "carillon/feed/tenant.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "carillon/base/clock.h"
#include "carillon/base/crypto.h"
#include "carillon/base/uuid.h"
#include "carillon/feed/ring.h"

#include "account_state.h"
#include "tenant_state.h"

static bool alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool car_tenant_id_ok(struct car_span id) {
    if (id.len < 1 || id.len > CAR_TENANT_ID_MAX || !alnum(id.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < id.len; i++) {
        char c = id.ptr[i];
        if (!alnum(c) && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

struct car_tenant *car_tenant_new(struct car_span id) {
    struct car_tenant *tenant = calloc(1, sizeof *tenant);
    if (!tenant) {
        return NULL;
    }
    tenant->created_ms = car_clock_wall_ms();
    car_random(&tenant->salt, sizeof tenant->salt);
    memcpy(tenant->id, id.ptr, id.len);
    tenant->key.id = car_span_of(tenant->id, id.len);
    car_history_init(&tenant->history, 0);
    return tenant;
}

void car_tenant_free(struct car_tenant **tenant) {
    struct car_tenant *t = *tenant;
    *tenant = NULL;
    if (!t) {
        return;
    }
    struct car_ring *inlet = atomic_load(&t->inlet);
    if (inlet) {
        car_ring_free(&inlet);
    }
    free(atomic_load(&t->lanes));
    free(atomic_load(&t->flows));
    struct car_tenant_kept *kept = atomic_load(&t->kept);
    car_tenant_kept_free(&kept);
    car_history_free(&t->history);
    free(t);
}

struct car_span car_tenant_id(const struct car_tenant *tenant) {
    return tenant->key.id;
}

int64_t car_tenant_created_ms(const struct car_tenant *tenant) {
    return tenant->created_ms;
}

int64_t car_tenant_salt(const struct car_tenant *tenant) {
    return tenant->salt;
}

uint64_t car_tenant_newest(const struct car_tenant *tenant) {
    return car_history_newest(&tenant->history);
}

uint64_t car_tenant_oldest(const struct car_tenant *tenant, uint32_t keep) {
    /* More than `keep` may be held for workers that are behind; nobody else is to see it, or the answer would depend on
     * how busy they are. */
    uint64_t newest = car_history_newest(&tenant->history);
    uint64_t oldest = car_history_oldest(&tenant->history);
    uint64_t visible = newest >= keep ? newest - keep + 1 : 1;
    return oldest > visible ? oldest : visible;
}

unsigned car_tenant_connections(const struct car_tenant *tenant) {
    return atomic_load_explicit(&tenant->connections, memory_order_relaxed);
}

bool car_tenant_admit(struct car_tenant *tenant, uint64_t max) {
    unsigned now = atomic_load_explicit(&tenant->guests, memory_order_relaxed);
    do {
        if ((max && now >= max) || now == UINT_MAX) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&tenant->guests, &now, now + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void car_tenant_leave(struct car_tenant *tenant) {
    unsigned before = atomic_fetch_sub_explicit(&tenant->guests, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

unsigned car_tenant_guests(const struct car_tenant *tenant) {
    return atomic_load_explicit(&tenant->guests, memory_order_relaxed);
}

void car_tenant_count_refused(struct car_tenant *tenant) {
    atomic_fetch_add_explicit(&tenant->refused, 1, memory_order_relaxed);
}

uint64_t car_tenant_refused(const struct car_tenant *tenant) {
    return atomic_load_explicit(&tenant->refused, memory_order_relaxed);
}

uint32_t car_tenant_message_bytes(const struct car_tenant *tenant) {
    return atomic_load_explicit(&tenant->message_bytes, memory_order_relaxed);
}

uint64_t car_tenant_forgotten(const struct car_tenant *tenant) {
    return atomic_load_explicit(&tenant->forgotten, memory_order_acquire);
}

void car_tenant_forget(struct car_tenant *tenant, uint64_t seq) {
    uint_fast64_t now = car_tenant_forgotten(tenant);
    while (seq > now && !atomic_compare_exchange_weak_explicit(&tenant->forgotten, &now, seq, memory_order_release,
                                                               memory_order_relaxed)) {
    }
}

void car_tenant_restore(struct car_tenant *tenant, uint64_t newest, uint64_t forgotten, int64_t created_ms,
                        int64_t salt) {
    car_history_init(&tenant->history, newest);
    atomic_init(&tenant->forgotten, forgotten);
    tenant->created_ms = created_ms;
    tenant->salt = salt;
}

double car_tenant_rate_1m(const struct car_tenant *tenant, int64_t now_ms) {
    return car_rate_per_second(&tenant->rate, now_ms);
}

size_t car_tenant_read(struct car_tenant *tenant, struct car_reader *reader, uint64_t seq, struct car_event **out,
                       size_t max) {
    return car_history_read(&tenant->history, reader, seq, out, max);
}
