#include "carillon/feed/tenant.h"

#include <stdlib.h>

#include "carillon/base/clock.h"
#include "carillon/base/uuid.h"
#include "carillon/feed/ring.h"

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
    car_history_free(&t->history);
    free(t);
}

struct car_span car_tenant_id(const struct car_tenant *tenant) {
    return tenant->key.id;
}

int64_t car_tenant_created_ms(const struct car_tenant *tenant) {
    return tenant->created_ms;
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

uint64_t car_tenant_forgotten(const struct car_tenant *tenant) {
    return atomic_load_explicit(&tenant->forgotten, memory_order_acquire);
}

void car_tenant_forget(struct car_tenant *tenant, uint64_t seq) {
    if (seq > car_tenant_forgotten(tenant)) {
        atomic_store_explicit(&tenant->forgotten, seq, memory_order_release);
    }
}

void car_tenant_restore(struct car_tenant *tenant, uint64_t newest, uint64_t forgotten, int64_t created_ms) {
    car_history_init(&tenant->history, newest);
    atomic_init(&tenant->forgotten, forgotten);
    tenant->created_ms = created_ms;
}

double car_tenant_rate_1m(const struct car_tenant *tenant, int64_t now_ms) {
    return car_rate_per_second(&tenant->rate, now_ms);
}

size_t car_tenant_read(struct car_tenant *tenant, struct car_reader *reader, uint64_t seq, struct car_event **out,
                       size_t max) {
    return car_history_read(&tenant->history, reader, seq, out, max);
}
