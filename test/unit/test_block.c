#include "carillon/base/block.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "suite.h"

/* Every size up to well above what is kept: the bytes are ours alone. */
static void test_sizes(void) {
    enum { SIZES = 1300 };
    static unsigned char *blocks[SIZES];
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < SIZES; size++) {
            blocks[size] = car_block_new(size);
            CU_ASSERT_PTR_NOT_NULL_FATAL(blocks[size]);
            memset(blocks[size], (int)(size & 0xff), size);
        }
        for (size_t size = 0; size < SIZES; size++) {
            bool whole = true;
            for (size_t i = 0; i < size; i++) {
                whole = whole && blocks[size][i] == (size & 0xff);
            }
            CU_ASSERT_TRUE(whole);
            car_block_free(blocks[size], size);
        }
    }
}

static void test_nothing(void) {
    car_block_free(NULL, 100);
    car_block_drop_kept();
    car_block_drop_kept();
}

/* More than a thread keeps of one size; what it keeps is dropped, and there is more afterwards. */
static void test_many(void) {
    enum { MANY = 1000 };
    static void *blocks[MANY];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY; i++) {
            blocks[i] = car_block_new(300);
            CU_ASSERT_PTR_NOT_NULL_FATAL(blocks[i]);
            memset(blocks[i], 1, 300);
        }
        for (size_t i = 0; i < MANY; i++) {
            car_block_free(blocks[i], 300);
        }
        car_block_drop_kept();
    }
}

static void *free_and_end(void *block) {
    memset(block, 2, 500);
    car_block_free(block, 500);
    car_block_drop_kept();
    return NULL;
}

/* Leaks and wrong frees are the sanitizers' to see. */
static void test_another_thread(void) {
    for (int i = 0; i < 20; i++) {
        void *block = car_block_new(500);
        CU_ASSERT_PTR_NOT_NULL_FATAL(block);
        pthread_t thread;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, free_and_end, block), 0);
        pthread_join(thread, NULL);
    }
}

static const struct car_test TESTS[] = {
    {"sizes", test_sizes},
    {"nothing", test_nothing},
    {"many", test_many},
    {"freed by another thread", test_another_thread},
};

int main(void) {
    return car_suite_main("block", TESTS, sizeof TESTS / sizeof *TESTS);
}
