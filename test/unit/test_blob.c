#include "carillon/base/blob.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "suite.h"

static void test_copy(void) {
    char bytes[] = "event";
    int tenant = 0;
    struct car_blob *blob = car_blob_copy(&tenant, bytes, 5);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    bytes[0] = 'X';
    CU_ASSERT_EQUAL(blob->len, 5);
    CU_ASSERT_EQUAL(memcmp(blob->data, "event", 5), 0);
    CU_ASSERT_PTR_EQUAL(blob->owner, &tenant);
    car_blob_unref(&blob);
    CU_ASSERT_PTR_NULL(blob);
    car_blob_unref(&blob);
}

static void test_empty(void) {
    struct car_blob *blob = car_blob_copy(NULL, NULL, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    CU_ASSERT_EQUAL(blob->len, 0);
    CU_ASSERT_PTR_NULL(blob->owner);
    car_blob_unref(&blob);
    CU_ASSERT_PTR_NULL(car_blob_new(NULL, SIZE_MAX));
    CU_ASSERT_PTR_NULL(car_blob_new(NULL, SIZE_MAX - sizeof(struct car_blob) + 1));
}

static void test_refs(void) {
    struct car_blob *first = car_blob_new(NULL, 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    memcpy(first->data, "abc", 3);
    struct car_blob *second = car_blob_ref(first);
    CU_ASSERT_PTR_EQUAL(second, first);
    CU_ASSERT_EQUAL(atomic_load(&second->refs), 2);
    car_blob_unref(&first);
    CU_ASSERT_EQUAL(atomic_load(&second->refs), 1);
    CU_ASSERT_EQUAL(memcmp(second->data, "abc", 3), 0);
    car_blob_unref(&second);
    CU_ASSERT_PTR_NULL(second);
}

static void *ref_and_unref(void *arg) {
    struct car_blob *mine = arg;
    size_t sum = 0;
    for (int i = 0; i < 20000; i++) {
        struct car_blob *more = car_blob_ref(mine);
        sum += (size_t)more->data[0];
        car_blob_unref(&more);
    }
    car_blob_unref(&mine);
    return sum == 20000 * (size_t)'q' ? arg : NULL;
}

/* The main thread gives its reference up while others count up and down; a sanitizer sees a wrong free. */
static void test_threads(void) {
    pthread_t threads[4];
    struct car_blob *blob = car_blob_copy(NULL, "q", 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, ref_and_unref, car_blob_ref(blob)), 0);
    }
    car_blob_unref(&blob);
    for (int i = 0; i < 4; i++) {
        void *result;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &result), 0);
        CU_ASSERT_PTR_NOT_NULL(result);
    }
}

static const struct car_test TESTS[] = {
    {"copy", test_copy}, {"empty and too big", test_empty}, {"references", test_refs}, {"threads", test_threads}};

int main(void) {
    return car_suite_main("blob", TESTS, sizeof TESTS / sizeof *TESTS);
}
