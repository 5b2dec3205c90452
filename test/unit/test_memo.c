#include "store/memo.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/feed/event.h"
#include "carillon/feed/event_id.h"
#include "carillon/feed/publish.h"
#include "carillon/feed/repeat.h"
#include "carillon/feed/tenant.h"

#include "suite.h"

/* What a log in memory remembers of keys. Time is what the events say. */

#define NOW INT64_C(1800000000000)

static struct car_tenant *tenant;
static struct car_memo *memo;
static struct car_event_key id_key;
static uint64_t seq;

static void set_up(void) {
    tenant = car_tenant_new(CAR_SPAN("a"));
    memo = car_memo_new();
    seq = 0;
    CU_ASSERT_FATAL(tenant && memo);
}

static void tear_down(void) {
    car_memo_free(&memo);
    CU_ASSERT_PTR_NULL(memo);
    car_memo_free(&memo);
    car_tenant_free(&tenant);
}

/* A publish with a key, which is a number, and so is its body. */
struct item {
    struct car_publish publish;
    struct car_publish_key key;
    struct car_event *events[CAR_PUBLISH_MAX];
};

static struct item *item_new(unsigned key, unsigned body, uint32_t count, size_t len) {
    struct item *item = calloc(1, sizeof *item);
    char *message = malloc(len + 2);
    CU_ASSERT_FATAL(item && message);
    memset(message, 'm', len + 2);
    message[0] = message[len + 1] = '"';
    struct car_draft draft = {.type = CAR_SPAN("t"), .message = car_span_of(message, len + 2)};
    memcpy(item->key.key, &key, sizeof key);
    memcpy(item->key.body, &body, sizeof body);
    item->publish = (struct car_publish){.tenant = tenant, .events = item->events, .count = count, .key = &item->key};
    for (uint32_t i = 0; i < count; i++) {
        item->events[i] = car_event_new(tenant, &draft);
        CU_ASSERT_PTR_NOT_NULL_FATAL(item->events[i]);
    }
    free(message);
    return item;
}

static void item_free(struct item *item) {
    for (uint32_t i = 0; i < item->publish.count; i++) {
        car_event_unref(&item->events[i]);
    }
    free(item);
}

/* Stores and remembers. The seq of its first event. */
static uint64_t put(unsigned key, unsigned body, uint32_t count, size_t len, int64_t at_ms) {
    struct item *item = item_new(key, body, count, len);
    struct car_publish *publish = &item->publish;
    uint64_t first = seq + 1;
    CU_ASSERT_EQUAL_FATAL(car_memo_prepare(memo, &publish, 1), 0);
    for (uint32_t i = 0; i < count; i++) {
        car_event_seal(item->events[i], ++seq, at_ms, &id_key);
    }
    car_memo_remember(memo, &publish, 1);
    CU_ASSERT_EQUAL(atomic_load(&item->events[0]->refs), 2);
    item_free(item);
    return first;
}

/* What is known: the first seq; 0 nothing; UINT64_MAX for another body. */
static uint64_t look(unsigned key, unsigned body, uint32_t count, int64_t now_ms) {
    struct item *item = item_new(key, body, count, 1);
    uint64_t found = 0;
    car_memo_recall(memo, &item->publish, now_ms);
    if (item->publish.status) {
        CU_ASSERT_EQUAL(item->publish.status, CAR_EEXIST);
        CU_ASSERT_FALSE(item->publish.replayed);
        found = UINT64_MAX;
    } else if (item->publish.replayed) {
        found = item->events[0]->seq;
        for (uint32_t i = 0; i < count; i++) {
            CU_ASSERT_EQUAL(item->events[i]->seq, found + i);
        }
    }
    item_free(item);
    return found;
}

static void test_known(void) {
    set_up();
    CU_ASSERT_EQUAL(look(1, 1, 1, NOW), 0);
    CU_ASSERT_EQUAL(put(1, 1, 1, 5, NOW), 1);
    CU_ASSERT_EQUAL(put(2, 1, 3, 5, NOW), 2);
    CU_ASSERT_EQUAL(look(1, 1, 1, NOW), 1);
    CU_ASSERT_EQUAL(look(1, 1, 1, NOW), 1);
    CU_ASSERT_EQUAL(look(1, 2, 1, NOW), UINT64_MAX);
    CU_ASSERT_EQUAL(look(2, 1, 3, NOW), 2);
    CU_ASSERT_EQUAL(look(2, 1, 2, NOW), UINT64_MAX);
    CU_ASSERT_EQUAL(look(3, 1, 1, NOW), 0);
    CU_ASSERT_EQUAL(car_memo_count(memo), 2);
    tear_down();
}

static void test_day(void) {
    set_up();
    put(1, 1, 1, 5, NOW);
    put(2, 1, 1, 5, NOW + 10);
    CU_ASSERT_EQUAL(look(1, 1, 1, NOW + CAR_REPEAT_MS - 1), 1);
    CU_ASSERT_EQUAL(look(1, 1, 1, NOW + CAR_REPEAT_MS), 0);
    CU_ASSERT_EQUAL(look(1, 2, 1, NOW + CAR_REPEAT_MS), 0);
    CU_ASSERT_EQUAL(put(1, 2, 1, 5, NOW + CAR_REPEAT_MS), 3); /* takes the place of what it was */
    CU_ASSERT_EQUAL(look(1, 2, 1, NOW + CAR_REPEAT_MS + 1), 3);
    CU_ASSERT_EQUAL(look(2, 1, 1, NOW + CAR_REPEAT_MS + 9), 2);
    CU_ASSERT_EQUAL(car_memo_count(memo), 2);
    /* The old ones go, a few at a time. */
    for (unsigned key = 10; key < 20; key++) {
        put(key, 1, 1, 5, NOW + CAR_REPEAT_MS);
    }
    CU_ASSERT_EQUAL(car_memo_count(memo), 12);
    put(20, 1, 1, 5, NOW + 2 * CAR_REPEAT_MS);
    put(21, 1, 1, 5, NOW + 2 * CAR_REPEAT_MS);
    CU_ASSERT_EQUAL(car_memo_count(memo), 10);
    tear_down();
}

static void test_most_keys(void) {
    set_up();
    for (unsigned key = 1; key <= CAR_MEMO_KEYS + 500; key++) {
        CU_ASSERT_EQUAL(put(key, key, 1, 5, NOW), key);
    }
    CU_ASSERT_EQUAL(car_memo_count(memo), CAR_MEMO_KEYS);
    for (unsigned key = 1; key <= CAR_MEMO_KEYS + 500; key++) {
        CU_ASSERT_EQUAL(look(key, key, 1, NOW), key > 500 ? key : 0);
    }
    tear_down();
}

static void test_most_bytes(void) {
    set_up();
    put(1, 1, 1, 5, NOW);
    put(2, 1, CAR_PUBLISH_MAX, 20000, NOW);
    put(3, 1, CAR_PUBLISH_MAX, 10000, NOW);
    CU_ASSERT_EQUAL(car_memo_count(memo), 3);
    put(4, 1, CAR_PUBLISH_MAX, 10000, NOW);
    CU_ASSERT_EQUAL(car_memo_count(memo), 2);
    CU_ASSERT_EQUAL(look(2, 1, CAR_PUBLISH_MAX, NOW), 0);
    CU_ASSERT_EQUAL(look(4, 1, CAR_PUBLISH_MAX, NOW), 2002);
    put(5, 1, CAR_PUBLISH_MAX, 40000, NOW); /* alone it is too much already: the newest stays */
    CU_ASSERT_EQUAL(car_memo_count(memo), 1);
    CU_ASSERT_EQUAL(look(5, 1, CAR_PUBLISH_MAX, NOW), 3002);
    put(6, 1, 1, 5, NOW);
    CU_ASSERT_EQUAL(car_memo_count(memo), 1);
    tear_down();
}

/* What was prepared and is refused leaves nothing; a publish without a key takes no part. */
static void test_prepared(void) {
    set_up();
    struct item *items[3] = {item_new(1, 1, 1, 5), item_new(2, 1, 2, 5), item_new(3, 1, 1, 5)};
    struct car_publish *publishes[3];
    for (unsigned i = 0; i < 3; i++) {
        publishes[i] = &items[i]->publish;
    }
    items[1]->publish.key = NULL;
    CU_ASSERT_EQUAL(car_memo_prepare(memo, publishes, 3), 0);
    car_memo_drop_prepared(memo);
    CU_ASSERT_EQUAL(look(1, 1, 1, NOW), 0);
    CU_ASSERT_EQUAL(car_memo_prepare(memo, publishes, 3), 0);
    for (unsigned i = 0; i < 3; i++) {
        car_event_seal(items[i]->events[0], i + 1, NOW, &id_key);
    }
    car_memo_remember(memo, publishes, 3);
    CU_ASSERT_EQUAL(look(1, 1, 1, NOW), 1);
    CU_ASSERT_EQUAL(look(2, 1, 2, NOW), 0);
    CU_ASSERT_EQUAL(look(3, 1, 1, NOW), 3);
    CU_ASSERT_EQUAL(car_memo_prepare(memo, publishes, 3), 0); /* freed with the memo */
    for (unsigned i = 0; i < 3; i++) {
        item_free(items[i]);
    }
    tear_down();
}

static const struct car_test TESTS[] = {
    {"known", test_known},           {"a day", test_day},         {"most keys", test_most_keys},
    {"most bytes", test_most_bytes}, {"prepared", test_prepared},
};

int main(void) {
    return car_suite_main("memo", TESTS, sizeof TESTS / sizeof *TESTS);
}
