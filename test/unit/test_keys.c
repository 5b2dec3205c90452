#include "carillon/guard/keys.h"

#include "carillon/base/crypto.h"
#include "carillon/base/err.h"
#include "carillon/feed/tenant.h"
#include "carillon/guard/grant.h"
#include "suite.h"

#define MANY 500u

static struct car_reclaim *domain;
static struct car_reader *reader;
static struct car_keys *keys;
static struct car_tenant *a, *b;

static void set_up(void) {
    domain = car_reclaim_new();
    reader = car_reader_open(domain);
    keys = car_keys_new();
    a = car_tenant_new(CAR_SPAN("a"));
    b = car_tenant_new(CAR_SPAN("b"));
    CU_ASSERT_FATAL(domain && reader && keys && a && b);
}

static void take_down(void) {
    car_keys_free(&keys);
    CU_ASSERT_PTR_NULL(keys);
    car_reader_close(&reader);
    car_reclaim_free(&domain);
    car_tenant_free(&a);
    car_tenant_free(&b);
}

/* A new key of the tenant, that is in the set. */
static void add(struct car_tenant *tenant, struct car_key *key, char *text) {
    car_key_make(key, text);
    key->account.created_ms = 7;
    key->grant = car_grant_new(tenant, car_span_of(NULL, 0), CAR_SCOPES_ALL);
    CU_ASSERT_EQUAL_FATAL(car_keys_add(keys, reader, key), 0);
    CU_ASSERT_EQUAL(car_keys_add(keys, reader, key), CAR_EEXIST);
    car_grant_unref(&key->grant);
}

static bool good(const char *text, const struct car_tenant *tenant) {
    struct car_grant *grant = car_keys_find(keys, reader, car_span_of(text, CAR_KEY_TEXT));
    bool found = grant && grant->tenant == tenant && !car_grant_ended(grant);
    car_grant_unref(&grant);
    return found;
}

static void test_texts(void) {
    set_up();
    char text[CAR_KEY_TEXT], other[CAR_KEY_TEXT];
    struct car_key key, second;
    add(a, &key, text);
    add(a, &second, other);
    CU_ASSERT_NSTRING_EQUAL(text, "car_", 4);
    CU_ASSERT_NSTRING_EQUAL(text, key.account.prefix, CAR_KEY_PREFIX);
    CU_ASSERT(memcmp(text, other, sizeof text) != 0 && strcmp(key.account.kid, second.account.kid) != 0);
    for (size_t i = 0; i < sizeof text; i++) {
        CU_ASSERT_PTR_NOT_NULL(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", text[i]));
        text[i] ^= 1;
        CU_ASSERT_FALSE(good(text, a));
        text[i] ^= 1;
    }
    CU_ASSERT_TRUE(good(text, a));
    CU_ASSERT_FALSE(good(text, b));
    CU_ASSERT_PTR_NULL(car_keys_find(keys, reader, car_span_of(text, CAR_KEY_TEXT - 1)));
    CU_ASSERT_PTR_NULL(car_keys_find(keys, reader, car_span_of(NULL, 0)));
    CU_ASSERT_PTR_NULL(car_keys_find(keys, reader, car_span_of((const char *)key.account.digest, CAR_KEY_DIGEST)));
    take_down();
}

static void count(const struct car_key *key, void *user) {
    CU_ASSERT_EQUAL(key->account.created_ms, 7);
    ++*(size_t *)user;
}

static size_t count_of(const struct car_tenant *tenant) {
    size_t n = 0;
    car_keys_each(keys, tenant, count, &n);
    return n;
}

/* Old and new are good until the old one is revoked; of nobody else anything changes. */
static void test_rotation(void) {
    set_up();
    char old[CAR_KEY_TEXT], new[CAR_KEY_TEXT], others[CAR_KEY_TEXT];
    struct car_key was, is, other;
    add(a, &was, old);
    add(a, &is, new);
    add(b, &other, others);
    CU_ASSERT(count_of(a) == 2 && count_of(b) == 1);
    struct car_grant *held = car_keys_find(keys, reader, car_span_of(old, sizeof old));
    CU_ASSERT_EQUAL(car_keys_remove(keys, reader, b, car_span_cstr(was.account.kid)), CAR_ENOENT);
    CU_ASSERT_EQUAL(car_keys_remove(keys, reader, a, CAR_SPAN("nothing")), CAR_ENOENT);
    CU_ASSERT_EQUAL(car_keys_remove(keys, reader, a, car_span_of(NULL, 0)), CAR_ENOENT);
    CU_ASSERT_TRUE(good(old, a));
    CU_ASSERT_EQUAL(car_keys_remove(keys, reader, a, car_span_cstr(was.account.kid)), 0);
    CU_ASSERT_EQUAL(car_keys_remove(keys, reader, a, car_span_cstr(was.account.kid)), CAR_ENOENT);
    CU_ASSERT_TRUE(car_grant_ended(held));
    CU_ASSERT(!good(old, a) && good(new, a) && good(others, b));
    car_grant_unref(&held);
    take_down();
}

static void test_many(void) {
    set_up();
    static char texts[MANY][CAR_KEY_TEXT];
    static struct car_key made[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        add(i % 3 ? a : b, &made[i], texts[i]);
        car_reader_poll(reader);
    }
    for (unsigned i = 0; i < MANY; i++) {
        CU_ASSERT_TRUE(good(texts[i], i % 3 ? a : b));
    }
    size_t of_b = count_of(b);
    CU_ASSERT_EQUAL(of_b + count_of(a), MANY);
    CU_ASSERT_EQUAL(car_keys_remove_all(keys, reader, b), of_b);
    for (unsigned i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(good(texts[i], a), i % 3 != 0);
        CU_ASSERT_FALSE(good(texts[i], b));
    }
    CU_ASSERT(count_of(b) == 0 && car_keys_remove_all(keys, reader, b) == 0);
    take_down();
}

static const struct car_test TESTS[] = {{"texts", test_texts}, {"rotation", test_rotation}, {"many", test_many}};

int main(void) {
    return car_suite_main("keys", TESTS, sizeof TESTS / sizeof *TESTS);
}
