#include "memo.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/base/siphash.h"
#include "carillon/feed/event.h"
#include "carillon/feed/repeat.h"

#define BUCKETS_MIN 16u

/* How many that nobody may ask for any more are let go of with each that is added. */
#define SWEEP 2

struct entry {
    struct entry *next; /* in its bucket */
    struct entry *older, *newer;
    struct car_publish_key key;
    int64_t at_ms;
    size_t bytes; /* of its events */
    uint32_t count;
    struct car_event *events[];
};

struct car_memo {
    uint64_t secret[2]; /* of the hash: keys are chosen by strangers */
    struct entry **buckets;
    size_t mask;
    size_t count;
    size_t bytes;
    struct entry *oldest, *newest;
    struct entry *prepared, **prepared_end; /* by `next`; not in the buckets yet */
};

struct car_memo *car_memo_new(void) {
    struct car_memo *memo = calloc(1, sizeof *memo);
    struct entry **buckets = calloc(BUCKETS_MIN, sizeof(struct entry *));
    if (!memo || !buckets) {
        free(memo);
        free(buckets);
        return NULL;
    }
    car_random(memo->secret, sizeof memo->secret);
    memo->buckets = buckets;
    memo->mask = BUCKETS_MIN - 1;
    memo->prepared_end = &memo->prepared;
    return memo;
}

static struct entry **bucket_of(struct car_memo *memo, const struct car_publish_key *key) {
    return &memo->buckets[car_siphash(memo->secret, key->key, sizeof key->key) & memo->mask];
}

static struct entry *find(struct car_memo *memo, const struct car_publish_key *key) {
    struct entry *entry = *bucket_of(memo, key);
    while (entry && memcmp(entry->key.key, key->key, sizeof key->key) != 0) {
        entry = entry->next;
    }
    return entry;
}

static void entry_free(struct entry *entry) {
    for (uint32_t i = 0; i < entry->count; i++) {
        car_event_unref(&entry->events[i]);
    }
    free(entry);
}

static void forget(struct car_memo *memo, struct entry *entry) {
    struct entry **link = bucket_of(memo, &entry->key);
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    *(entry->older ? &entry->older->newer : &memo->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &memo->newest) = entry->older;
    memo->count--;
    memo->bytes -= entry->bytes;
    entry_free(entry);
}

void car_memo_drop_prepared(struct car_memo *memo) {
    while (memo->prepared) {
        struct entry *entry = memo->prepared;
        memo->prepared = entry->next;
        free(entry);
    }
    memo->prepared_end = &memo->prepared;
}

void car_memo_free(struct car_memo **memo) {
    struct car_memo *m = *memo;
    *memo = NULL;
    if (!m) {
        return;
    }
    car_memo_drop_prepared(m);
    while (m->oldest) {
        struct entry *entry = m->oldest;
        m->oldest = entry->newer;
        entry_free(entry);
    }
    free(m->buckets);
    free(m);
}

static bool is_over(const struct entry *entry, int64_t now_ms) {
    return entry->at_ms <= now_ms - CAR_REPEAT_MS;
}

void car_memo_recall(struct car_memo *memo, struct car_publish *publish, int64_t now_ms) {
    struct entry *entry = find(memo, publish->key);
    if (entry && !is_over(entry, now_ms) && car_repeat_fits(publish, entry->key.body, entry->count)) {
        car_repeat_replay(publish, entry->events);
    }
}

/* Twice as many buckets. Where there is no memory for them the chains become longer. */
static void widen(struct car_memo *memo) {
    size_t size = (memo->mask + 1) * 2;
    struct entry **buckets = calloc(size, sizeof *buckets);
    if (!buckets) {
        return;
    }
    free(memo->buckets);
    memo->buckets = buckets;
    memo->mask = size - 1;
    for (struct entry *entry = memo->oldest; entry; entry = entry->newer) {
        struct entry **bucket = bucket_of(memo, &entry->key);
        entry->next = *bucket;
        *bucket = entry;
    }
}

int car_memo_prepare(struct car_memo *memo, struct car_publish *const *publishes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct car_publish *publish = publishes[i];
        if (!publish->key) {
            continue;
        }
        struct entry *entry = malloc(sizeof *entry + publish->count * sizeof entry->events[0]);
        if (!entry) {
            car_memo_drop_prepared(memo);
            return CAR_ENOMEM;
        }
        *entry = (struct entry){.key = *publish->key, .count = publish->count};
        *memo->prepared_end = entry;
        memo->prepared_end = &entry->next;
    }
    return 0;
}

static struct entry *take_prepared(struct car_memo *memo) {
    struct entry *entry = memo->prepared;
    assert(entry);
    memo->prepared = entry->next;
    if (!memo->prepared) {
        memo->prepared_end = &memo->prepared;
    }
    return entry;
}

static void forget_oldest(struct car_memo *memo) {
    struct entry *entry = memo->oldest;
    assert(entry && !entry->older);
    forget(memo, entry);
}

/* Lets go of what is too old, and of what is too much. */
static void tidy(struct car_memo *memo, int64_t now_ms) {
    for (unsigned i = 0; i < SWEEP && memo->oldest && is_over(memo->oldest, now_ms); i++) {
        forget_oldest(memo);
    }
    while (memo->count > CAR_MEMO_KEYS || (memo->bytes > CAR_MEMO_BYTES && memo->count > 1)) {
        forget_oldest(memo);
    }
}

static void add(struct car_memo *memo, struct entry *entry, const struct car_publish *publish) {
    struct entry *former = find(memo, &entry->key);
    if (former) {
        forget(memo, former); /* it was over */
    }
    entry->at_ms = publish->events[0]->wall_ms;
    for (uint32_t i = 0; i < entry->count; i++) {
        entry->events[i] = car_event_ref(publish->events[i]);
        entry->bytes += publish->events[i]->size;
    }
    struct entry **bucket = bucket_of(memo, &entry->key);
    entry->next = *bucket;
    *bucket = entry;
    entry->older = memo->newest;
    *(memo->newest ? &memo->newest->newer : &memo->oldest) = entry;
    memo->newest = entry;
    memo->count++;
    memo->bytes += entry->bytes;
    tidy(memo, entry->at_ms);
    if (memo->count > memo->mask) {
        widen(memo);
    }
}

void car_memo_remember(struct car_memo *memo, struct car_publish *const *publishes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (publishes[i]->key) {
            add(memo, take_prepared(memo), publishes[i]);
        }
    }
}

size_t car_memo_count(const struct car_memo *memo) {
    return memo->count;
}
