#include "carillon/net/out.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/blob.h"
#include "carillon/net/net.h"

#include "suite.h"

/* The list beside a plain buffer that says what must be in it. */
static struct {
    struct car_net_local local;
    struct car_out out;
    char bytes[1 << 20];
    size_t first, end;
    unsigned seed;
} t;

static unsigned random_below(unsigned n) {
    t.seed = t.seed * 1664525u + 1013904223u;
    return (t.seed >> 8) % n;
}

static void set_up(void) {
    memset(&t, 0, sizeof t);
    t.seed = 7;
}

static void tear_down(void) {
    car_out_clear(&t.local, &t.out);
    CU_ASSERT_TRUE(car_out_is_empty(&t.out));
    car_out_free_spares(&t.local);
}

static void expect(size_t len) {
    for (size_t i = 0; i < len; i++) {
        t.bytes[t.end + i] = (char)random_below(256);
    }
    t.end += len;
}

static void copy(size_t len) {
    expect(len);
    CU_ASSERT_TRUE(car_out_copy(&t.local, &t.out, t.bytes + t.end - len, len));
}

static void add(size_t len) {
    expect(len);
    struct car_blob *blob = car_blob_copy(NULL, t.bytes + t.end - len, len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    CU_ASSERT_TRUE(car_out_add(&t.local, &t.out, blob));
    CU_ASSERT_EQUAL(atomic_load(&blob->refs), 2);
    car_blob_unref(&blob);
}

/* What the pieces say is what is due; up to `max` bytes of it are taken. */
static void take(size_t max) {
    struct iovec pieces[64];
    int n = car_out_pieces(&t.out, pieces, 64);
    size_t taken = 0;
    CU_ASSERT_EQUAL(car_out_bytes(&t.out), t.end - t.first);
    CU_ASSERT_EQUAL(n == 0, car_out_is_empty(&t.out));
    for (int i = 0; i < n && taken < max; i++) {
        size_t len = pieces[i].iov_len < max - taken ? pieces[i].iov_len : max - taken;
        CU_ASSERT_EQUAL(memcmp(pieces[i].iov_base, t.bytes + t.first + taken, len), 0);
        taken += len;
    }
    if (taken) {
        CU_ASSERT_TRUE(car_out_advance(&t.local, &t.out, taken));
        t.first += taken;
    }
}

static void test_one_blob(void) {
    set_up();
    add(300);
    CU_ASSERT_PTR_NOT_NULL(t.out.only); /* which costs no list */
    take(SIZE_MAX);
    CU_ASSERT_TRUE(car_out_is_empty(&t.out));
    add(300);
    take(100);
    take(100);
    take(SIZE_MAX);
    CU_ASSERT_TRUE(car_out_is_empty(&t.out));
    tear_down();
}

static void test_small_copies_share_a_chunk(void) {
    set_up();
    for (int i = 0; i < 20; i++) {
        copy(50);
    }
    struct iovec pieces[4];
    CU_ASSERT_EQUAL(car_out_pieces(&t.out, pieces, 4), 1);
    CU_ASSERT_EQUAL(pieces[0].iov_len, 1000);
    take(SIZE_MAX);
    CU_ASSERT_EQUAL(t.local.small.count, 1); /* and it is there for the next one */
    copy(50);
    CU_ASSERT_EQUAL(t.local.small.count, 0);
    tear_down();
}

/* A chunk is one socket's: what is appended behind a shared blob never gets into it. */
static void test_shared_stays_as_it_is(void) {
    set_up();
    struct car_blob *shared = car_blob_copy(NULL, "shared", 6);
    CU_ASSERT_PTR_NOT_NULL_FATAL(shared);
    CU_ASSERT_TRUE(car_out_add(&t.local, &t.out, shared));
    CU_ASSERT_TRUE(car_out_copy(&t.local, &t.out, "mine", 4));
    CU_ASSERT_EQUAL(shared->len, 6);
    CU_ASSERT_EQUAL(car_out_bytes(&t.out), 10);
    car_out_clear(&t.local, &t.out);
    CU_ASSERT_EQUAL(atomic_load(&shared->refs), 1);
    car_blob_unref(&shared);
    tear_down();
}

/* Blobs and copies of all sizes, taken in pieces of all sizes. */
static void test_mixed(void) {
    set_up();
    for (int round = 0; round < 4000; round++) {
        if (t.end > sizeof t.bytes - 40000) {
            take(SIZE_MAX);
            take(SIZE_MAX);
            if (car_out_is_empty(&t.out)) {
                t.first = t.end = 0;
            }
            continue;
        }
        switch (random_below(6)) {
        case 0:
            add(1 + random_below(3000));
            break;
        case 1:
            copy(1 + random_below(40000));
            break;
        case 2:
        case 3:
            copy(1 + random_below(300));
            break;
        default:
            take(1 + random_below(20000));
        }
    }
    tear_down();
}

/* A socket that is always behind: its list is used again from the front, however much goes through it. */
static void test_never_empty(void) {
    set_up();
    add(100);
    for (int round = 0; round < 5000; round++) {
        add(100);
        add(50);
        take(150);
        CU_ASSERT_FALSE(car_out_is_empty(&t.out));
        CU_ASSERT_EQUAL(car_out_bytes(&t.out), 100);
    }
    tear_down();
}

static const struct car_test TESTS[] = {
    {"one blob", test_one_blob},
    {"small copies share a chunk", test_small_copies_share_a_chunk},
    {"what is shared stays as it is", test_shared_stays_as_it_is},
    {"mixed", test_mixed},
    {"never empty", test_never_empty},
};

int main(void) {
    return car_suite_main("out", TESTS, sizeof TESTS / sizeof *TESTS);
}
