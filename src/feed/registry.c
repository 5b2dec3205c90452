#include "carillon/feed/registry.h"

#include <assert.h>
#include <ck_hs.h>
#include <ck_pr.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/siphash.h"
#include "carillon/feed/tenant.h"
#include "carillon/runtime/hs_memory.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/tsan.h"

#include "tenant_state.h"

static_assert(offsetof(struct car_tenant, key) == 0, "the set holds tenants and compares keys");

#define CAPACITY_AT_START 64

/*
 * Readers: any thread, inside a section. Writers: one at a time, who holds `writing`. Ordering: a tenant is whole
 * before ck_hs_put stores the pointer to it; a reader gets to its content only through that pointer. A table that was
 * outgrown may still be walked by readers, so the adder retires it.
 */
struct car_registry {
    ck_hs_t set;
    uint64_t key[2]; /* of the hash, secret: ids are chosen by strangers, who must not be able to make them collide */
    size_t max;
    pthread_mutex_t writing;
    atomic_size_t count;        /* written under `writing`, read by any thread */
    struct car_tenant *removed; /* under `writing` */
};

/* Keyed by `key` already, so the set's own seed has nothing to add. */
static unsigned long key_hash(const void *key, unsigned long seed) {
    (void)seed;
    return ((const struct car_tenant_key *)key)->hash;
}

static bool key_equal(const void *inside, const void *wanted) {
    CAR_TSAN_ACQUIRE(inside);
    const struct car_tenant_key *a = inside;
    const struct car_tenant_key *b = wanted;
    return a->hash == b->hash && car_span_eq(a->id, b->id);
}

struct car_registry *car_registry_new(size_t max) {
    struct car_registry *registry = calloc(1, sizeof *registry);
    if (!registry) {
        return NULL;
    }
    registry->max = max;
    car_random(registry->key, sizeof registry->key);
    if (!ck_hs_init(&registry->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, key_hash, key_equal, &car_hs_memory,
                    CAPACITY_AT_START, 0)) {
        free(registry);
        return NULL;
    }
    if (pthread_mutex_init(&registry->writing, NULL)) {
        ck_hs_destroy(&registry->set);
        free(registry);
        return NULL;
    }
    return registry;
}

void car_registry_free(struct car_registry **registry) {
    struct car_registry *r = *registry;
    *registry = NULL;
    if (!r) {
        return;
    }
    ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
    void *found;
    while (ck_hs_next(&r->set, &at, &found)) {
        struct car_tenant *tenant = found;
        car_tenant_free(&tenant);
    }
    while (r->removed) {
        struct car_tenant *tenant = r->removed;
        r->removed = tenant->next_removed;
        car_tenant_free(&tenant);
    }
    ck_hs_destroy(&r->set);
    pthread_mutex_destroy(&r->writing);
    free(r);
}

static struct car_tenant *look_up(struct car_registry *registry, struct car_reader *reader,
                                  const struct car_tenant_key *wanted) {
    car_reader_enter(reader);
    struct car_tenant *tenant = ck_hs_get(&registry->set, wanted->hash, wanted);
    car_reader_leave(reader);
    return tenant;
}

struct car_tenant *car_registry_find(struct car_registry *registry, struct car_reader *reader, struct car_span id) {
    if (id.len < 1 || id.len > CAR_TENANT_ID_MAX) {
        return NULL; /* hashes nothing that is only long */
    }
    struct car_tenant_key wanted = {.hash = car_siphash(registry->key, id.ptr, id.len), .id = id};
    return look_up(registry, reader, &wanted);
}

/* With the writers' mutex held, and the id not in the set. */
static int insert(struct car_registry *registry, struct car_reader *reader, const struct car_tenant_key *wanted,
                  struct car_tenant **out) {
    if (atomic_load_explicit(&registry->count, memory_order_relaxed) >= registry->max) {
        return CAR_EFULL;
    }
    struct car_tenant *tenant = car_tenant_new(wanted->id);
    if (!tenant) {
        return CAR_ENOMEM;
    }
    tenant->key.hash = wanted->hash;
    CAR_TSAN_RELEASE(tenant);
    ck_pr_fence_store(); /* the tenant before the pointer to it; the reader's side is an address dependency */
    car_hs_change_begin(reader);
    bool put = ck_hs_put(&registry->set, wanted->hash, tenant);
    car_hs_change_end();
    if (!put) {
        car_tenant_free(&tenant);
        return CAR_ENOMEM;
    }
    atomic_fetch_add_explicit(&registry->count, 1, memory_order_relaxed);
    *out = tenant;
    return 0;
}

int car_registry_add(struct car_registry *registry, struct car_reader *reader, struct car_span id,
                     struct car_tenant **out) {
    if (!car_tenant_id_ok(id)) {
        return CAR_EINVAL;
    }
    struct car_tenant_key wanted = {.hash = car_siphash(registry->key, id.ptr, id.len), .id = id};
    struct car_tenant *there = look_up(registry, reader, &wanted);
    int err = CAR_EEXIST;
    if (!there) {
        pthread_mutex_lock(&registry->writing);
        there = look_up(registry, reader, &wanted); /* another adder may have been quicker */
        if (!there) {
            err = insert(registry, reader, &wanted, out);
        }
        pthread_mutex_unlock(&registry->writing);
    }
    if (there) {
        *out = there;
    }
    return err;
}

void car_registry_remove(struct car_registry *registry, struct car_reader *reader, struct car_tenant *tenant) {
    pthread_mutex_lock(&registry->writing);
    if (!atomic_exchange(&tenant->removed, true)) {
        car_hs_change_begin(reader);
        void *out = ck_hs_remove(&registry->set, tenant->key.hash, tenant);
        car_hs_change_end();
        assert(out == tenant); /* no other one of its id gets in while it is there */
        (void)out;
        atomic_fetch_sub_explicit(&registry->count, 1, memory_order_relaxed);
        tenant->next_removed = registry->removed;
        registry->removed = tenant;
    }
    pthread_mutex_unlock(&registry->writing);
}

size_t car_registry_count(const struct car_registry *registry) {
    return atomic_load_explicit(&registry->count, memory_order_relaxed);
}

void car_registry_each(struct car_registry *registry, void (*visit)(struct car_tenant *tenant, void *user),
                       void *user) {
    pthread_mutex_lock(&registry->writing);
    ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
    void *found;
    while (ck_hs_next(&registry->set, &at, &found)) {
        visit(found, user);
    }
    pthread_mutex_unlock(&registry->writing);
}

void car_registry_each_removed(struct car_registry *registry, void (*visit)(struct car_tenant *tenant, void *user),
                               void *user) {
    pthread_mutex_lock(&registry->writing);
    for (struct car_tenant *tenant = registry->removed; tenant; tenant = tenant->next_removed) {
        visit(tenant, user);
    }
    pthread_mutex_unlock(&registry->writing);
}
