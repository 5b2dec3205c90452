#include "carillon/feed/event_id.h"

#include <string.h>

#include "carillon/base/crypto.h"

#include "suite.h"

#define MANY 20000u

static struct car_event_key key, other;

static void new_keys(void) {
    car_random(&key, sizeof key);
    car_random(&other, sizeof other);
}

/* What an id says to whom it concerns, and to nobody else. */
static void check(struct car_span tenant, uint64_t seq) {
    struct car_uuid id;
    car_event_id_make(&key, tenant, 5, seq, &id);
    CU_ASSERT_EQUAL(id.bytes[6] >> 4, 4);
    CU_ASSERT_EQUAL(id.bytes[8] >> 6, 2);
    CU_ASSERT_EQUAL(car_event_id_seq(&key, tenant, 5, &id), seq);
    CU_ASSERT_EQUAL(car_event_id_seq(&key, CAR_SPAN("stranger"), 5, &id), 0);
    CU_ASSERT_EQUAL(car_event_id_seq(&other, tenant, 5, &id), 0);
    CU_ASSERT_EQUAL(car_event_id_seq(&key, tenant, 6, &id), 0); /* one that had the same name */
}

static void test_round_trip(void) {
    new_keys();
    for (unsigned bit = 0; bit < 44; bit++) {
        check(CAR_SPAN("a"), UINT64_C(1) << bit);
        check(CAR_SPAN("tenant_b"), (UINT64_C(2) << bit) - 1);
    }
    check(CAR_SPAN("a"), CAR_EVENT_SEQ_MAX);
    for (uint64_t seq = 1; seq < 2000; seq++) {
        check(CAR_SPAN("a"), seq);
    }
}

/* Each bit that is not what it was makes it nobody's. */
static void test_altered(void) {
    struct car_uuid id;
    new_keys();
    car_event_id_make(&key, CAR_SPAN("a"), 5, 7, &id);
    for (unsigned bit = 0; bit < 128; bit++) {
        struct car_uuid altered = id;
        altered.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CU_ASSERT_EQUAL(car_event_id_seq(&key, CAR_SPAN("a"), 5, &altered), 0);
    }
}

/* Ids that others have made are not taken for ours. */
static void test_strangers(void) {
    new_keys();
    for (unsigned i = 0; i < MANY; i++) {
        struct car_uuid id;
        car_uuid_make(&id);
        CU_ASSERT_EQUAL(car_event_id_seq(&key, CAR_SPAN("a"), 5, &id), 0);
    }
}

/* The same seq twice has two ids; and of the ids of consecutive seqs each bit is as often 1 as 0, within five standard
 * deviations. */
static void test_looks_random(void) {
    static unsigned ones[128];
    struct car_uuid id, again;
    new_keys();
    for (unsigned i = 1; i <= MANY; i++) {
        car_event_id_make(&key, CAR_SPAN("a"), 5, i, &id);
        car_event_id_make(&key, CAR_SPAN("a"), 5, i, &again);
        CU_ASSERT_NOT_EQUAL(memcmp(&id, &again, sizeof id), 0);
        for (unsigned bit = 0; bit < 128; bit++) {
            ones[bit] += id.bytes[bit / 8] >> (7 - bit % 8) & 1u;
        }
    }
    for (unsigned bit = 0; bit < 128; bit++) {
        bool fixed = bit / 4 == 12 || bit / 2 == 32;
        CU_ASSERT(fixed ? ones[bit] == 0 || ones[bit] == MANY
                        : ones[bit] > MANY / 2 - 354 && ones[bit] < MANY / 2 + 354);
    }
}

static const struct car_test TESTS[] = {
    {"there and back", test_round_trip},
    {"altered", test_altered},
    {"others' ids", test_strangers},
    {"looks random", test_looks_random},
};

int main(void) {
    return car_suite_main("event_id", TESTS, sizeof TESTS / sizeof *TESTS);
}
