#include "carillon/guard/keys.h"

#include <assert.h>
#include <ck_hs.h>
#include <ck_pr.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/base/base64url.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/guard/grant.h"
#include "carillon/runtime/hs_memory.h"
#include "carillon/runtime/tsan.h"

static_assert(CAR_KEY_ID <= CAR_ACCOUNT_KID_LEN && CAR_KEY_PREFIX <= CAR_ACCOUNT_PREFIX_MAX, "a log keeps them");

#define CAPACITY_AT_START 64
#define SECRET            33 /* bytes */
#define ID                15

struct car_keys {
    ck_hs_t set;
    pthread_mutex_t writing;
};

/* The set holds the keys' digests. */
static struct car_key *of_digest(void *digest) {
    return (struct car_key *)((char *)digest - offsetof(struct car_key, account.digest));
}

/* A digest is as good a hash as any, for nobody can choose it. */
static unsigned long hash(const void *digest, unsigned long seed) {
    unsigned long n;
    (void)seed;
    memcpy(&n, digest, sizeof n);
    return n;
}

static bool equal(const void *inside, const void *wanted) {
    CAR_TSAN_ACQUIRE(inside);
    return memcmp(inside, wanted, CAR_KEY_DIGEST) == 0;
}

struct car_keys *car_keys_new(void) {
    struct car_keys *keys = calloc(1, sizeof *keys);
    if (!keys) {
        return NULL;
    }
    if (!ck_hs_init(&keys->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, hash, equal, &car_hs_memory, CAPACITY_AT_START,
                    0)) {
        free(keys);
        return NULL;
    }
    if (pthread_mutex_init(&keys->writing, NULL)) {
        ck_hs_destroy(&keys->set);
        free(keys);
        return NULL;
    }
    return keys;
}

static void key_free(struct car_key *key) {
    car_grant_unref(&key->grant);
    free(key);
}

static void free_retired(struct car_retired *retired) {
    key_free((struct car_key *)((char *)retired - offsetof(struct car_key, retired)));
}

void car_keys_free(struct car_keys **keys) {
    struct car_keys *k = *keys;
    *keys = NULL;
    if (!k) {
        return;
    }
    ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
    void *found;
    while (ck_hs_next(&k->set, &at, &found)) {
        key_free(of_digest(found));
    }
    ck_hs_destroy(&k->set);
    pthread_mutex_destroy(&k->writing);
    free(k);
}

void car_key_make(struct car_key *key, char *text) {
    uint8_t secret[SECRET];
    uint8_t id[ID];
    car_random(secret, sizeof secret);
    car_random(id, sizeof id);
    memcpy(text, CAR_KEY_SCHEME, sizeof CAR_KEY_SCHEME - 1);
    car_base64url_write(secret, sizeof secret, text + sizeof CAR_KEY_SCHEME - 1);
    key->account = (struct car_account_key){0};
    car_base64url_write(id, sizeof id, key->account.kid);
    memcpy(key->account.prefix, text, CAR_KEY_PREFIX);
    car_sha256(text, CAR_KEY_TEXT, key->account.digest);
    explicit_bzero(secret, sizeof secret);
}

/* With the writers' mutex held, as all that walks the set. The tenant's key with that id; NULL where there is none. */
static struct car_key *key_of(struct car_keys *keys, const struct car_tenant *tenant, struct car_span id) {
    ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
    void *found;
    while (ck_hs_next(&keys->set, &at, &found)) {
        struct car_key *key = of_digest(found);
        if (key->grant->tenant == tenant && (!id.ptr || car_span_eq(car_span_cstr(key->account.kid), id))) {
            return key;
        }
    }
    return NULL;
}

static int insert(struct car_keys *keys, struct car_reader *reader, const struct car_key *key) {
    if (ck_hs_get(&keys->set, hash(key->account.digest, 0), key->account.digest)) {
        return CAR_EEXIST;
    }
    struct car_key *copy = malloc(sizeof *copy);
    if (!copy) {
        return CAR_ENOMEM;
    }
    *copy = *key;
    (void)car_grant_ref(copy->grant);
    CAR_TSAN_RELEASE(copy->account.digest);
    ck_pr_fence_store(); /* the key before the pointer to it; the reader's side is an address dependency */
    car_hs_change_begin(reader);
    bool put = ck_hs_put(&keys->set, hash(copy->account.digest, 0), copy->account.digest);
    car_hs_change_end();
    if (!put) {
        key_free(copy);
    }
    return put ? 0 : CAR_ENOMEM;
}

int car_keys_add(struct car_keys *keys, struct car_reader *reader, const struct car_key *key) {
    pthread_mutex_lock(&keys->writing);
    int err = insert(keys, reader, key);
    pthread_mutex_unlock(&keys->writing);
    return err;
}

static void take_out(struct car_keys *keys, struct car_reader *reader, struct car_key *key) {
    (void)ck_hs_remove(&keys->set, hash(key->account.digest, 0), key->account.digest);
    atomic_store_explicit(&key->grant->ended, true, memory_order_release);
    car_reader_retire(reader, &key->retired, free_retired);
}

int car_keys_remove(struct car_keys *keys, struct car_reader *reader, const struct car_tenant *tenant,
                    struct car_span id) {
    pthread_mutex_lock(&keys->writing);
    struct car_key *key = id.ptr ? key_of(keys, tenant, id) : NULL;
    if (key) {
        take_out(keys, reader, key);
    }
    pthread_mutex_unlock(&keys->writing);
    return key ? 0 : CAR_ENOENT;
}

size_t car_keys_remove_all(struct car_keys *keys, struct car_reader *reader, const struct car_tenant *tenant) {
    size_t count = 0;
    struct car_key *key;
    pthread_mutex_lock(&keys->writing);
    while ((key = key_of(keys, tenant, car_span_of(NULL, 0)))) {
        take_out(keys, reader, key);
        count++;
    }
    pthread_mutex_unlock(&keys->writing);
    return count;
}

bool car_keys_has(struct car_keys *keys, const struct car_tenant *tenant, struct car_span id) {
    pthread_mutex_lock(&keys->writing);
    bool has = id.ptr && key_of(keys, tenant, id);
    pthread_mutex_unlock(&keys->writing);
    return has;
}

void car_keys_each(struct car_keys *keys, const struct car_tenant *tenant,
                   void (*visit)(const struct car_key *key, void *user), void *user) {
    ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
    void *found;
    pthread_mutex_lock(&keys->writing);
    while (ck_hs_next(&keys->set, &at, &found)) {
        const struct car_key *key = of_digest(found);
        if (key->grant->tenant == tenant) {
            visit(key, user);
        }
    }
    pthread_mutex_unlock(&keys->writing);
}

struct car_grant *car_keys_find(struct car_keys *keys, struct car_reader *reader, struct car_span text) {
    uint8_t digest[CAR_KEY_DIGEST];
    if (text.len != CAR_KEY_TEXT) {
        return NULL;
    }
    car_sha256(text.ptr, text.len, digest);
    car_reader_enter(reader);
    void *found = ck_hs_get(&keys->set, hash(digest, 0), digest);
    struct car_grant *grant = found ? car_grant_ref(of_digest(found)->grant) : NULL;
    car_reader_leave(reader);
    return grant;
}
