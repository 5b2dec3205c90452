#include "carillon/guard/buckets.h"

#include <assert.h>
#include <ck_hs.h>
#include <ck_pr.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/siphash.h"
#include "carillon/runtime/hs_memory.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/tsan.h"

#define CAPACITY_AT_START 64
#define LOOKS             4  /* at other states, for each key that is put in: more go than come, if they may */
#define LOOKS_WHEN_FULL   16 /* somebody has to go */

/* What is hashed and compared; the text is the caller's while it is looked for. */
struct bucket_key {
    uint64_t hash;
    struct car_span text;
};

struct bucket {
    struct bucket_key key; /* the first member: the set holds buckets and compares keys */
    struct car_retired retired;
    _Atomic uint64_t state; /* any thread */
    char text[];
};

static_assert(offsetof(struct bucket, key) == 0, "the set holds buckets and compares keys");

/* The set and what comes after it are the writer's, who holds `writing`; readers look into the set. */
struct car_buckets {
    struct car_gcra gcra;
    uint64_t key[2]; /* of the hash, secret: strangers choose addresses and must not be able to make them collide */
    size_t max;
    pthread_mutex_t writing;
    ck_hs_t set;
    struct bucket **all; /* the same buckets in a row, to be looked at in turn */
    size_t room, next;
    size_t removed; /* since the set was last rid of the marks that they leave */
    /* The state of those who found no room, and what a new one begins with: so it is never less than fresh at the
     * latest now that anybody came here with. */
    _Atomic uint64_t shared;
    atomic_size_t count; /* of `all`; read by any thread */
};

static void bucket_free(struct car_retired *retired) {
    free((char *)retired - offsetof(struct bucket, retired));
}

/* Keyed by `key` already, so the set's own seed has nothing to add. */
static unsigned long key_hash(const void *key, unsigned long seed) {
    (void)seed;
    return ((const struct bucket_key *)key)->hash;
}

static bool key_equal(const void *inside, const void *wanted) {
    CAR_TSAN_ACQUIRE(inside);
    const struct bucket_key *a = inside;
    const struct bucket_key *b = wanted;
    return a->hash == b->hash && car_span_eq(a->text, b->text);
}

static struct bucket_key key_of(const struct car_buckets *buckets, struct car_span text) {
    text = text.ptr ? text : CAR_SPAN("");
    text.len = text.len < CAR_BUCKET_KEY_MAX ? text.len : CAR_BUCKET_KEY_MAX;
    return (struct bucket_key){.hash = car_siphash(buckets->key, text.ptr, text.len), .text = text};
}

struct car_buckets *car_buckets_new(const struct car_rate_limit *limit, size_t max, uint64_t now_ns) {
    assert(limit->count > 0 && max > 0);
    struct car_buckets *buckets = calloc(1, sizeof *buckets);
    if (!buckets) {
        return NULL;
    }
    buckets->gcra = car_gcra_make(limit);
    buckets->max = max;
    car_random(buckets->key, sizeof buckets->key);
    atomic_init(&buckets->shared, car_gcra_fresh(&buckets->gcra, now_ns));
    if (!ck_hs_init(&buckets->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, key_hash, key_equal, &car_hs_memory,
                    CAPACITY_AT_START, 0)) {
        free(buckets);
        return NULL;
    }
    if (pthread_mutex_init(&buckets->writing, NULL)) {
        ck_hs_destroy(&buckets->set);
        free(buckets);
        return NULL;
    }
    return buckets;
}

void car_buckets_free(struct car_buckets **buckets) {
    struct car_buckets *b = *buckets;
    *buckets = NULL;
    if (!b) {
        return;
    }
    for (size_t i = 0; i < car_buckets_count(b); i++) {
        free(b->all[i]);
    }
    free(b->all);
    ck_hs_destroy(&b->set);
    pthread_mutex_destroy(&b->writing);
    free(b);
}

size_t car_buckets_count(const struct car_buckets *buckets) {
    return atomic_load_explicit(&buckets->count, memory_order_relaxed);
}

/* All that follows up to car_buckets_take is done with `writing` held. */

static void take_out(struct car_buckets *b, struct car_reader *reader, size_t i) {
    struct bucket *bucket = b->all[i];
    size_t last = car_buckets_count(b) - 1;
    (void)ck_hs_remove(&b->set, bucket->key.hash, bucket);
    b->all[i] = b->all[last];
    b->removed++;
    atomic_store_explicit(&b->count, last, memory_order_relaxed);
    car_reader_retire(reader, &bucket->retired, bucket_free);
}

/* Takes out those that may go among the next `looks`. */
static void look_round(struct car_buckets *b, struct car_reader *reader, uint64_t now_ns, unsigned looks) {
    for (unsigned i = 0; i < looks && car_buckets_count(b) > 0; i++) {
        b->next = b->next < car_buckets_count(b) ? b->next : 0;
        if (car_gcra_end(&b->all[b->next]->state, &b->gcra, now_ns)) {
            take_out(b, reader, b->next);
        } else {
            b->next++;
        }
    }
}

static bool make_room(struct car_buckets *b) {
    size_t count = car_buckets_count(b);
    if (count == b->room) {
        size_t room = b->room ? b->room * 2 : CAPACITY_AT_START;
        struct bucket **more = reallocarray(b->all, room, sizeof *more);
        if (!more) {
            return false;
        }
        b->all = more;
        b->room = room;
    }
    return true;
}

static bool put(struct car_buckets *b, struct car_reader *reader, struct bucket *bucket) {
    car_hs_change_begin(reader);
    if (b->removed > car_buckets_count(b) + CAPACITY_AT_START) {
        (void)ck_hs_rebuild(&b->set); /* where there is no memory for that, the marks stay */
        b->removed = 0;
    }
    CAR_TSAN_RELEASE(bucket);
    ck_pr_fence_store(); /* the bucket before the pointer to it; the reader's side is an address dependency */
    bool done = ck_hs_put(&b->set, bucket->key.hash, bucket);
    car_hs_change_end();
    return done;
}

/* NULL where there is no room, or no memory. */
static struct bucket *put_in(struct car_buckets *b, struct car_reader *reader, const struct bucket_key *key) {
    size_t count = car_buckets_count(b);
    if (count >= b->max || !make_room(b)) {
        return NULL;
    }
    struct bucket *bucket = malloc(sizeof *bucket + key->text.len);
    if (!bucket) {
        return NULL;
    }
    if (key->text.len) {
        memcpy(bucket->text, key->text.ptr, key->text.len);
    }
    bucket->key = (struct bucket_key){.hash = key->hash, .text = car_span_of(bucket->text, key->text.len)};
    atomic_init(&bucket->state, atomic_load_explicit(&b->shared, memory_order_relaxed));
    if (!put(b, reader, bucket)) {
        free(bucket);
        return NULL;
    }
    b->all[count] = bucket;
    atomic_store_explicit(&b->count, count + 1, memory_order_relaxed);
    return bucket;
}

/* The state of a key that was not there, or had ended. */
static _Atomic uint64_t *state_anew(struct car_buckets *b, struct car_reader *reader, const struct bucket_key *key,
                                    uint64_t now_ns) {
    struct bucket *bucket = ck_hs_get(&b->set, key->hash, key); /* another writer may have been quicker */
    if (!bucket) {
        uint64_t shared = atomic_load_explicit(&b->shared, memory_order_relaxed);
        uint64_t fresh = car_gcra_fresh(&b->gcra, now_ns);
        atomic_store_explicit(&b->shared, car_gcra_worse(shared, fresh), memory_order_relaxed);
        look_round(b, reader, now_ns, car_buckets_count(b) < b->max ? LOOKS : LOOKS_WHEN_FULL);
        bucket = put_in(b, reader, key);
    }
    return bucket ? &bucket->state : &b->shared;
}

int car_buckets_take(struct car_buckets *buckets, struct car_reader *reader, struct car_span key, uint64_t now_ns,
                     uint64_t cost, struct car_rate_state *out) {
    struct bucket_key wanted = key_of(buckets, key);
    car_reader_enter(reader);
    struct bucket *bucket = ck_hs_get(&buckets->set, wanted.hash, &wanted);
    int err = bucket ? car_gcra_take(&bucket->state, &buckets->gcra, now_ns, cost, out) : CAR_ECLOSED;
    car_reader_leave(reader);
    if (err == CAR_ECLOSED) {
        pthread_mutex_lock(&buckets->writing);
        _Atomic uint64_t *state = state_anew(buckets, reader, &wanted, now_ns);
        err = car_gcra_take(state, &buckets->gcra, now_ns, cost, out);
        assert(err != CAR_ECLOSED); /* nothing ends but under the mutex, and what has ended is out of the set */
        pthread_mutex_unlock(&buckets->writing);
    }
    return err;
}

/* A state that has ended had nothing left to be given back, and neither has what was put in for it since. */
void car_buckets_give_back(struct car_buckets *buckets, struct car_reader *reader, struct car_span key,
                           uint64_t taken_ns, uint64_t cost, uint64_t (*clock)(void)) {
    struct bucket_key wanted = key_of(buckets, key);
    car_reader_enter(reader);
    struct bucket *bucket = ck_hs_get(&buckets->set, wanted.hash, &wanted);
    if (bucket) {
        car_gcra_give_back(&bucket->state, &buckets->gcra, taken_ns, cost, clock);
    }
    car_reader_leave(reader);
    if (!bucket) {
        pthread_mutex_lock(&buckets->writing);
        bucket = ck_hs_get(&buckets->set, wanted.hash, &wanted);
        car_gcra_give_back(bucket ? &bucket->state : &buckets->shared, &buckets->gcra, taken_ns, cost, clock);
        pthread_mutex_unlock(&buckets->writing);
    }
}
