#include "eio_table.h"

#include <ck_hs.h>
#include <stdlib.h>

#include "carillon/base/base64url.h"
#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/runtime/worker.h"

#define CAPACITY_AT_START 64
#define KEY               16
#define SID_BYTES         (KEY + 2)

/* One thread alone uses it: nothing that leaves the set is waited for. */
struct car_eio_table {
    ck_hs_t set;
    size_t count;
    ck_hs_iterator_t at; /* of car_eio_table_some */
    size_t removed;      /* since the set was last made anew: each leaves a mark that searches step over */
};

static void *memory_alloc(size_t size) {
    return malloc(size);
}

static void memory_free(void *bytes, size_t size, bool defer) {
    (void)size;
    (void)defer;
    free(bytes);
}

static struct ck_malloc memory = {.malloc = memory_alloc, .free = memory_free};

/* A key is random, and nobody chooses it but us. */
static unsigned long key_hash(const void *key, unsigned long seed) {
    unsigned long hash;
    (void)seed;
    memcpy(&hash, key, sizeof hash);
    return hash;
}

static bool key_equal(const void *inside, const void *wanted) {
    return memcmp(inside, wanted, KEY) == 0;
}

static struct car_eio *eio_of(const void *key) {
    return (struct car_eio *)((char *)(uintptr_t)key - offsetof(struct car_eio, key));
}

struct car_eio_table *car_eio_table_new(void) {
    struct car_eio_table *table = calloc(1, sizeof *table);
    if (table && !ck_hs_init(&table->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, key_hash, key_equal, &memory,
                             CAPACITY_AT_START, 0)) {
        free(table);
        table = NULL;
    }
    return table;
}

void car_eio_table_free(struct car_eio_table **table) {
    if (*table) {
        ck_hs_destroy(&(*table)->set);
        free(*table);
        *table = NULL;
    }
}

int car_eio_table_add(struct car_eio_table *table, struct car_eio *eio) {
    if (table->removed > table->count + CAPACITY_AT_START) {
        (void)ck_hs_rebuild(&table->set); /* where there is no memory for that, the marks stay */
        table->removed = 0;
    }
    table->at = (ck_hs_iterator_t)CK_HS_ITERATOR_INITIALIZER;
    car_random(eio->key, sizeof eio->key);
    if (!ck_hs_put(&table->set, key_hash(eio->key, 0), eio->key)) {
        return CAR_ENOMEM;
    }
    table->count++;
    return 0;
}

void car_eio_table_remove(struct car_eio_table *table, struct car_eio *eio) {
    if (ck_hs_remove(&table->set, key_hash(eio->key, 0), eio->key)) {
        table->count--;
        table->removed++;
    }
}

struct car_eio *car_eio_table_find(struct car_eio_table *table, const uint8_t key[16]) {
    const void *found = ck_hs_get(&table->set, key_hash(key, 0), key);
    return found ? eio_of(found) : NULL;
}

void car_eio_table_each(struct car_eio_table *table, void (*visit)(struct car_eio *eio)) {
    ck_hs_iterator_t iterator = CK_HS_ITERATOR_INITIALIZER;
    void *key;
    while (ck_hs_next(&table->set, &iterator, &key)) {
        visit(eio_of(key));
    }
}

size_t car_eio_table_some(struct car_eio_table *table, size_t most, bool (*visit)(struct car_eio *eio)) {
    size_t n = 0;
    void *key;
    while (n < most && ck_hs_next(&table->set, &table->at, &key)) {
        n += visit(eio_of(key));
    }
    return n;
}

size_t car_eio_table_count(const struct car_eio_table *table) {
    return table->count;
}

void car_eio_sid(const struct car_eio *eio, char out[CAR_EIO_SID_LEN]) {
    uint8_t bytes[SID_BYTES];
    memcpy(bytes, eio->key, KEY);
    bytes[KEY] = (uint8_t)(eio->worker->id >> 8);
    bytes[KEY + 1] = (uint8_t)eio->worker->id;
    car_base64url_write(bytes, sizeof bytes, out);
}

int car_eio_sid_read(struct car_span sid, unsigned *worker_id, uint8_t key[16]) {
    uint8_t bytes[SID_BYTES];
    if (car_base64url_read(sid, bytes, sizeof bytes) != 0) {
        return CAR_EINVAL;
    }
    memcpy(key, bytes, KEY);
    *worker_id = (unsigned)bytes[KEY] << 8 | bytes[KEY + 1];
    return 0;
}
