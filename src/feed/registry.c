#include "carillon/feed/registry.h"

#include <assert.h>
#include <ck_hs.h>
#include <ck_pr.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
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
    struct ck_malloc memory;
    size_t max;
    pthread_mutex_t writing;
    atomic_size_t count; /* written under `writing`, read by any thread */
};

/* A table's memory, made so that it can be retired. */
struct table {
    struct car_retired retired;
    alignas(max_align_t) unsigned char bytes[];
};

/* ck_malloc's functions are not told whose memory they handle, so the thread that adds says it here: who retires a
 * table that the set outgrows. Set during ck_hs_put only. */
static _Thread_local struct car_reader *adder;

static void *table_alloc(size_t size) {
    struct table *table = malloc(sizeof *table + size);
    return table ? table->bytes : NULL;
}

static void table_free(struct car_retired *retired) {
    free((char *)retired - offsetof(struct table, retired));
}

static void table_drop(void *bytes, size_t size, bool readers_may_be_inside) {
    (void)size;
    struct table *table = (struct table *)((char *)bytes - offsetof(struct table, bytes));
    if (readers_may_be_inside) {
        assert(adder);
        car_reader_retire(adder, &table->retired, table_free);
    } else {
        free(table);
    }
}

static uint64_t rotate(uint64_t word, unsigned bits) {
    return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein, 2012), which is enough for a table whose hashes nobody sees, with words in the
 * machine's byte order: the hash never leaves the process. */
static uint64_t sip_hash(const uint64_t key[2], struct car_span text) {
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    size_t whole = text.len / 8;
    for (size_t i = 0; i <= whole; i++) {
        uint64_t word = 0;
        if (i < whole) {
            memcpy(&word, text.ptr + i * 8, 8);
        } else {
            memcpy(&word, text.ptr + i * 8, text.len % 8);
            word |= (uint64_t)text.len << 56;
        }
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

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
    registry->memory = (struct ck_malloc){.malloc = table_alloc, .free = table_drop};
    car_random(registry->key, sizeof registry->key);
    if (!ck_hs_init(&registry->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, key_hash, key_equal, &registry->memory,
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
    struct car_tenant_key wanted = {.hash = sip_hash(registry->key, id), .id = id};
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
    adder = reader;
    bool put = ck_hs_put(&registry->set, wanted->hash, tenant);
    adder = NULL;
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
    struct car_tenant_key wanted = {.hash = sip_hash(registry->key, id), .id = id};
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
