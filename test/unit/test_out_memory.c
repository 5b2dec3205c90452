#include <string.h>

#include "carillon/base/blob.h"
#include "carillon/net/net.h"
#include "carillon/net/out.h"

#include "suite.h"

/* What is counted of what waits, and what is left of it where it is cut. */

static const char ALICE, BOB;
static int64_t counted[2]; /* of Alice, and of Bob */

static void on_held(struct car_worker *worker, const void *owner, ptrdiff_t change) {
    (void)worker;
    counted[owner == &BOB] += change;
}

static const struct car_net_owners OWNERS = {.held = on_held};
static struct car_net net;
static struct car_net_local local;

static void begin(void) {
    net = (struct car_net){.owners = &OWNERS};
    local = (struct car_net_local){.net = &net};
    counted[0] = counted[1] = 0;
}

static void end(void) {
    CU_ASSERT_EQUAL(counted[0], 0);
    CU_ASSERT_EQUAL(counted[1], 0);
    car_out_free_spares(&local);
}

static struct car_blob *blob_of(size_t len) {
    struct car_blob *blob = car_blob_new(&ALICE, len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    for (size_t i = 0; i < len; i++) {
        blob->data[i] = (char)i;
    }
    return blob;
}

/* A blob that several wait for is counted in parts; what has gone, or comes, changes it with the next count. */
static void test_held(void) {
    struct car_out outs[4] = {0};
    struct car_blob *blob = blob_of(10000);
    begin();
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_TRUE(car_out_add(&local, &outs[i], blob));
    }
    car_blob_unref(&blob);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(car_out_held(&outs[i]), 0);
        car_out_hold(&local, &outs[i], &ALICE);
        CU_ASSERT_TRUE(car_out_held(&outs[i]) >= 2500);
    }
    CU_ASSERT_TRUE(counted[0] >= 10000 && counted[0] < 12000);
    int64_t before = counted[0];
    char more[5000] = {0};
    CU_ASSERT_TRUE(car_out_copy(&local, &outs[0], more, sizeof more));
    car_out_hold(&local, &outs[0], &ALICE);
    CU_ASSERT_TRUE(counted[0] >= before + 5000);
    CU_ASSERT_EQUAL(car_out_held(&outs[0]) + car_out_held(&outs[1]) + car_out_held(&outs[2]) + car_out_held(&outs[3]),
                    (size_t)counted[0]);
    car_out_hold(&local, &outs[1], &BOB); /* it is another's now */
    CU_ASSERT_EQUAL((size_t)counted[1], car_out_held(&outs[1]));
    CU_ASSERT_TRUE(car_out_advance(&local, &outs[2], 100));
    CU_ASSERT_TRUE(car_out_advance(&local, &outs[2], 9900));
    CU_ASSERT_TRUE(car_out_is_empty(&outs[2]));
    for (unsigned i = 0; i < 4; i++) {
        car_out_clear(&local, &outs[i]);
    }
    end();
}

/* Nobody's bytes are nobody's memory. */
static void test_nobody(void) {
    struct car_out out = {0};
    begin();
    CU_ASSERT_TRUE(car_out_copy(&local, &out, "x", 1));
    car_out_hold(&local, &out, NULL);
    CU_ASSERT_EQUAL(car_out_held(&out), 0);
    car_out_clear(&local, &out);
    end();
}

static size_t drain(struct car_out *out, char *bytes) {
    size_t len = 0;
    while (!car_out_is_empty(out)) {
        struct iovec pieces[4];
        int n = car_out_pieces(out, pieces, 4);
        CU_ASSERT_FATAL(n > 0);
        size_t part = pieces[0].iov_len > 3 ? pieces[0].iov_len / 2 : pieces[0].iov_len;
        memcpy(bytes + len, pieces[0].iov_base, part);
        len += part;
        CU_ASSERT_TRUE_FATAL(car_out_advance(&local, out, part));
    }
    return len;
}

/* What has been begun is ended, whether the blob is one's own or others have it as well; the rest goes, and what is
 * added then follows. */
static void test_cut(void) {
    for (unsigned shared = 0; shared < 2; shared++) {
        for (size_t written = 0; written < 200; written += 13) {
            for (size_t rest = 0; written + rest <= 200; rest += 7) {
                struct car_out out = {0};
                char bytes[400];
                begin();
                struct car_blob *blob = blob_of(200);
                CU_ASSERT_TRUE(car_out_add(&local, &out, blob));
                CU_ASSERT_TRUE(car_out_add(&local, &out, blob));
                if (!shared) {
                    struct car_blob *other = blob_of(200);
                    car_out_clear(&local, &out);
                    CU_ASSERT_TRUE(car_out_add(&local, &out, other));
                    car_blob_unref(&other);
                }
                if (written) {
                    CU_ASSERT_TRUE(car_out_advance(&local, &out, written));
                }
                car_out_hold(&local, &out, &ALICE);
                size_t at;
                CU_ASSERT_PTR_NOT_NULL(car_out_first(&out, &at));
                CU_ASSERT_EQUAL(at, written);
                CU_ASSERT_TRUE(car_out_cut(&local, &out, rest));
                CU_ASSERT_EQUAL(counted[0], 0);
                CU_ASSERT_EQUAL(car_out_bytes(&out), rest);
                CU_ASSERT_TRUE(car_out_copy(&local, &out, "end", 3));
                CU_ASSERT_EQUAL(car_out_bytes(&out), rest + 3);
                size_t len = drain(&out, bytes);
                CU_ASSERT_EQUAL_FATAL(len, rest + 3);
                CU_ASSERT_EQUAL(memcmp(bytes, blob->data + written, rest), 0);
                CU_ASSERT_EQUAL(memcmp(bytes + rest, "end", 3), 0);
                car_blob_unref(&blob);
                end();
            }
        }
    }
}

int main(void) {
    static const struct car_test tests[] = {
        {"what waits is counted", test_held},
        {"nobody's memory", test_nobody},
        {"what is left of a cut", test_cut},
    };
    return car_suite_main("out_memory", tests, sizeof tests / sizeof *tests);
}
