#include "accounts.h"

#include <CUnit/CUnit.h>
#include <string.h>
#include <unistd.h>

#include "carillon/feed/tenant.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

enum { KEYS_MAX = 16 };

static struct car_account_key keys[KEYS_MAX];
static unsigned key_count;

/* Changing. */

struct changed {
    struct car_log_change change; /* first */
    atomic_bool done;
    bool astray;
};

static void on_changed(struct car_log_change *change) {
    struct changed *changed = (struct changed *)change;
    changed->astray = car_worker_self() != change->worker;
    atomic_store(&changed->done, true);
}

static void put_change(struct car_worker *worker, void *arg) {
    car_change(arg, worker);
}

int account_make(struct feed_fixture *f, struct car_log_change change) {
    static unsigned turn;
    struct changed changed = {.change = change};
    changed.change.done = on_changed;
    feed_call(f, turn++ % f->feed.worker_count, put_change, &changed.change);
    while (!atomic_load(&changed.done)) {
        usleep(500);
    }
    CU_ASSERT_FALSE(changed.astray);
    return changed.change.status;
}

struct car_account_key account_key(char letter) {
    struct car_account_key key = {.prefix = "ck_prefix", .scopes = 5, .created_ms = 1700000000000};
    memset(key.kid, letter, CAR_ACCOUNT_KID_LEN);
    memset(key.digest, letter ^ 0x80, sizeof key.digest);
    return key;
}

int account_put(struct feed_fixture *f, struct car_tenant *tenant, const char *name, uint64_t connections) {
    struct car_tenant_terms terms = {.limits = {.connections = connections, .retention_count = INT64_MAX}};
    snprintf(terms.name, sizeof terms.name, "%s", name);
    return account_make(f, (struct car_log_change){.kind = CAR_LOG_TENANT_PUT, .tenant = tenant, .terms = &terms});
}

int account_limit(struct feed_fixture *f, struct car_tenant *tenant, const struct car_tenant_limits *limits) {
    struct car_tenant_terms terms = {.limits = *limits};
    return account_make(f, (struct car_log_change){.kind = CAR_LOG_TENANT_PUT, .tenant = tenant, .terms = &terms});
}

int account_put_key(struct feed_fixture *f, struct car_tenant *tenant, char letter) {
    struct car_account_key key = account_key(letter);
    return account_make(f, (struct car_log_change){.kind = CAR_LOG_KEY_PUT, .tenant = tenant, .key = &key});
}

int account_remove_key(struct feed_fixture *f, struct car_tenant *tenant, char letter) {
    struct car_account_key key = account_key(letter);
    return account_make(f, (struct car_log_change){.kind = CAR_LOG_KEY_REMOVE, .tenant = tenant, .key = &key});
}

int account_remove(struct feed_fixture *f, struct car_tenant *tenant) {
    return account_make(f, (struct car_log_change){.kind = CAR_LOG_TENANT_REMOVE, .tenant = tenant});
}

/* What there is. */

void account_has_terms(struct feed_fixture *f, struct car_tenant *tenant, const char *name, uint64_t connections) {
    CU_ASSERT_PTR_NOT_NULL_FATAL(tenant);
    car_reader_enter(f->reader);
    const struct car_tenant_terms *terms = car_tenant_terms(tenant);
    CU_ASSERT_STRING_EQUAL(terms->name, name);
    CU_ASSERT_EQUAL(terms->limits.connections, connections);
    CU_ASSERT_EQUAL(terms->limits.retention_count, connections ? INT64_MAX : 0);
    CU_ASSERT_EQUAL(terms->limits.events, 0);
    car_reader_leave(f->reader);
}

static void on_key(void *user, const struct car_account_key *key) {
    (void)user;
    CU_ASSERT_FATAL(key_count < KEYS_MAX);
    keys[key_count++] = *key;
}

void account_listen(void) {
    key_count = 0;
    feed_tell_keys(on_key, NULL);
}

unsigned account_told_count(void) {
    return key_count;
}

bool account_told(const char *tenant, char letter) {
    struct car_account_key want = account_key(letter);
    for (unsigned i = 0; i < key_count; i++) {
        if (strcmp(keys[i].kid, want.kid) == 0) {
            return strcmp(keys[i].tenant, tenant) == 0 && strcmp(keys[i].prefix, want.prefix) == 0 &&
                   memcmp(keys[i].digest, want.digest, sizeof want.digest) == 0 && keys[i].scopes == want.scopes &&
                   keys[i].created_ms == want.created_ms;
        }
    }
    return false;
}
