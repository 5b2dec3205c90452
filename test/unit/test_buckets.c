#include "carillon/guard/buckets.h"

#include <stdio.h>
#include <string.h>

#include "carillon/base/err.h"
#include "carillon/runtime/reclaim.h"

#include "suite.h"

#define S     UINT64_C(1000000000)
#define BEGUN (1000 * S)

static struct car_reclaim *domain;
static struct car_reader *reader;
static struct car_buckets *buckets;

static void open_buckets(uint64_t count, uint64_t window_ms, size_t max) {
    domain = car_reclaim_new();
    reader = car_reader_open(domain);
    buckets = car_buckets_new(&(struct car_rate_limit){count, window_ms}, max, BEGUN);
    CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
}

static void close_buckets(void) {
    car_buckets_free(&buckets);
    CU_ASSERT_PTR_NULL(buckets);
    car_reader_close(&reader);
    car_reclaim_free(&domain);
}

static int take(const char *key, uint64_t now, uint64_t cost, struct car_rate_state *out) {
    int err = car_buckets_take(buckets, reader, car_span_cstr(key), now, cost, out);
    (void)car_reader_poll(reader);
    return err;
}

static uint64_t take_all(const char *key, uint64_t now) {
    struct car_rate_state out;
    uint64_t taken = 0;
    while (take(key, now, 1, &out) == 0) {
        taken++;
    }
    return taken;
}

static const char *numbered(unsigned number) {
    static char text[32];
    (void)snprintf(text, sizeof text, "10.0.%u.%u", number / 256, number % 256);
    return text;
}

static void each_key_for_itself(void) {
    struct car_rate_state out;
    open_buckets(5, 1000, 10000);
    for (unsigned i = 0; i < 5000; i++) {
        CU_ASSERT_EQUAL(take_all(numbered(i), BEGUN), 5);
    }
    CU_ASSERT_EQUAL(car_buckets_count(buckets), 5000);
    for (unsigned i = 0; i < 5000; i++) {
        CU_ASSERT_EQUAL(take(numbered(i), BEGUN, 1, &out), CAR_EFULL);
        CU_ASSERT_EQUAL(out.retry, S / 5);
        CU_ASSERT_EQUAL(take(numbered(i), BEGUN, 6, &out), CAR_ETOOBIG);
    }
    CU_ASSERT_EQUAL(take_all(numbered(77), BEGUN + S), 5);
    close_buckets();
}

static void any_bytes_are_a_key(void) {
    struct car_rate_state out;
    char longer[CAR_BUCKET_KEY_MAX + 2];
    memset(longer, 'x', sizeof longer);
    open_buckets(1, 1000, 100);
    CU_ASSERT_EQUAL(car_buckets_take(buckets, reader, car_span_of(NULL, 0), BEGUN, 1, &out), 0);
    CU_ASSERT_EQUAL(car_buckets_take(buckets, reader, CAR_SPAN(""), BEGUN, 1, &out), CAR_EFULL);
    CU_ASSERT_EQUAL(car_buckets_take(buckets, reader, CAR_SPAN("\0"), BEGUN, 1, &out), 0);
    CU_ASSERT_EQUAL(car_buckets_take(buckets, reader, CAR_SPAN("\0\0"), BEGUN, 1, &out), 0);
    CU_ASSERT_EQUAL(car_buckets_take(buckets, reader, car_span_of(longer, sizeof longer - 3), BEGUN, 1, &out), 0);
    CU_ASSERT_EQUAL(car_buckets_take(buckets, reader, car_span_of(longer, sizeof longer - 2), BEGUN, 1, &out), 0);
    CU_ASSERT_EQUAL(car_buckets_take(buckets, reader, car_span_of(longer, sizeof longer), BEGUN, 1, &out), CAR_EFULL);
    CU_ASSERT_EQUAL(car_buckets_count(buckets), 5);
    close_buckets();
}

/* With so many new ones a second, for long, no more are inside than a window's worth and a third. */
static void the_full_ones_go(void) {
    struct car_rate_state out;
    size_t most = 0;
    open_buckets(10, 1000, 100000);
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t now = BEGUN + i * (S / 1000);
        CU_ASSERT_EQUAL(take(numbered(i), now, 10, &out), 0);
        CU_ASSERT_EQUAL(out.remaining, 0);
        CU_ASSERT_EQUAL(take("always", now, 0, &out), 0);
        most = car_buckets_count(buckets) > most ? car_buckets_count(buckets) : most;
    }
    CU_ASSERT_TRUE(most < 1500);
    for (unsigned i = 29500; i < 30000; i++) { /* those who have to stay did */
        CU_ASSERT_EQUAL(take(numbered(i), BEGUN + 30 * S - S / 1000, 10, &out), CAR_EFULL);
    }
    close_buckets();
}

static void a_crowd_shares_one(void) {
    struct car_rate_state out;
    open_buckets(4, 1000, 8);
    for (unsigned i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(take(numbered(i), BEGUN, 2, &out), 0);
    }
    CU_ASSERT_EQUAL(take("a", BEGUN, 3, &out), 0);
    CU_ASSERT_EQUAL(take("b", BEGUN, 1, &out), 0);
    CU_ASSERT_EQUAL(take("c", BEGUN, 1, &out), CAR_EFULL);
    CU_ASSERT_EQUAL(take("a", BEGUN, 5, &out), CAR_ETOOBIG);
    CU_ASSERT_EQUAL(car_buckets_count(buckets), 8);
    CU_ASSERT_EQUAL(take_all(numbered(3), BEGUN), 2); /* who is known has his own */
    /* Room again for some, but what was taken in the crowd counts. */
    CU_ASSERT_EQUAL(take_all("a", BEGUN + S / 2), 2);
    CU_ASSERT_EQUAL(take_all("b", BEGUN + S / 2), 2);
    CU_ASSERT_EQUAL(take_all("b", BEGUN + 3 * S / 2), 4);
    CU_ASSERT_TRUE(car_buckets_count(buckets) <= 8);
    close_buckets();
}

/* One who comes with a reading from before a key was removed finds what was known then, or less. */
static void a_late_reading_finds_no_more(void) {
    struct car_rate_state out;
    open_buckets(4, 1000, 100);
    CU_ASSERT_EQUAL(take("a", BEGUN, 4, &out), 0);
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(take(numbered(i), BEGUN + S, 1, &out), 0);
    }
    CU_ASSERT_EQUAL(car_buckets_count(buckets), 10); /* "a" has gone */
    CU_ASSERT_EQUAL(take("a", BEGUN + S / 4 - 1, 1, &out), CAR_EFULL);
    CU_ASSERT_EQUAL(take_all("a", BEGUN + S), 4);
    close_buckets();
}

static uint64_t clock_now;

static uint64_t clock_read(void) {
    return clock_now;
}

static void give_back(const char *key, uint64_t taken, uint64_t cost) {
    car_buckets_give_back(buckets, reader, car_span_cstr(key), taken, cost, clock_read);
}

static void what_was_taken_for_nothing(void) {
    struct car_rate_state out;
    clock_now = BEGUN;
    open_buckets(4, 1000, 1);
    CU_ASSERT_EQUAL(take("own", BEGUN, 4, &out), 0);
    give_back("own", BEGUN, 3);
    CU_ASSERT_EQUAL(take_all("own", BEGUN), 3);
    CU_ASSERT_EQUAL(take("other", BEGUN, 4, &out), 0); /* from the shared one */
    give_back("other", BEGUN, 2);
    CU_ASSERT_EQUAL(take_all("third", BEGUN), 2);
    give_back("nobody", BEGUN - S, 4); /* was long ago */
    CU_ASSERT_EQUAL(take_all("third", BEGUN), 0);
    close_buckets();
}

static const struct car_test TESTS[] = {
    {"each key for itself", each_key_for_itself},
    {"any bytes are a key", any_bytes_are_a_key},
    {"where everything is there, a key goes", the_full_ones_go},
    {"a crowd shares one bucket", a_crowd_shares_one},
    {"a late reading finds no more", a_late_reading_finds_no_more},
    {"what was taken for nothing", what_was_taken_for_nothing},
};

int main(void) {
    return car_suite_main("buckets", TESTS, sizeof TESTS / sizeof *TESTS);
}
