#include "carillon/base/uuid.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "suite.h"

enum { MANY = 20000 };

static int compare(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct car_uuid));
}

static void *make_many(void *arg) {
    struct car_uuid *ids = arg;
    for (size_t i = 0; i < MANY; i++) {
        car_uuid_make(&ids[i]);
    }
    return NULL;
}

/* From two threads, over many blocks: all of version 4, all different, no bit stuck that should be random. */
static void test_make(void) {
    struct car_uuid *ids = calloc(2 * MANY, sizeof *ids);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ids);
    pthread_t other;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, make_many, ids + MANY), 0);
    make_many(ids);
    pthread_join(other, NULL);
    struct car_uuid ones = {{0}};
    struct car_uuid zeros = {{0}};
    size_t wrong = 0;
    for (size_t i = 0; i < 2 * MANY; i++) {
        wrong += ids[i].bytes[6] >> 4 != 4 || ids[i].bytes[8] >> 6 != 2;
        for (size_t k = 0; k < 16; k++) {
            ones.bytes[k] |= ids[i].bytes[k];
            zeros.bytes[k] |= (uint8_t)~ids[i].bytes[k];
        }
    }
    /* No random byte is used twice: what ends one id does not begin the next. */
    for (size_t i = 1; i < MANY; i++) {
        wrong += memcmp(ids[i - 1].bytes + 9, ids[i].bytes + 1, 5) == 0;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    for (size_t k = 0; k < 16; k++) {
        uint8_t fixed = k == 6 ? 0xf0 : k == 8 ? 0xc0 : 0;
        CU_ASSERT_EQUAL(ones.bytes[k] | fixed, 0xff);
        CU_ASSERT_EQUAL(zeros.bytes[k] | fixed, 0xff);
    }
    qsort(ids, 2 * MANY, sizeof *ids, compare);
    size_t repeated = 0;
    for (size_t i = 1; i < 2 * MANY; i++) {
        repeated += compare(&ids[i - 1], &ids[i]) == 0;
    }
    CU_ASSERT_EQUAL(repeated, 0);
    free(ids);
}

/* A child must not go through the block of random bytes that its parent goes through. */
static void test_fork(void) {
    struct car_uuid mine;
    struct car_uuid of_child;
    int ends[2];
    car_uuid_make(&mine);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    car_uuid_make(&mine);
    if (child == 0) {
        _exit(write(ends[1], &mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 1);
    }
    CU_ASSERT_EQUAL(read(ends[0], &of_child, sizeof of_child), (ssize_t)sizeof of_child);
    CU_ASSERT_NOT_EQUAL(compare(&mine, &of_child), 0);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

static const struct car_uuid KNOWN = {
    {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4c, 0xde, 0xaf, 0xff, 0x00, 0x10, 0x20, 0x30, 0x40, 0x5a}};

static void test_text(void) {
    char text[CAR_UUID_TEXT + 1];
    text[CAR_UUID_TEXT] = '!';
    car_uuid_write(&KNOWN, text);
    CU_ASSERT_EQUAL(memcmp(text, "01234567-89ab-4cde-afff-00102030405a!", sizeof text), 0);
    struct car_uuid back = {{0}};
    CU_ASSERT_EQUAL(car_uuid_read(car_span_of(text, CAR_UUID_TEXT), &back), 0);
    CU_ASSERT_EQUAL(compare(&back, &KNOWN), 0);
    CU_ASSERT_EQUAL(car_uuid_read(CAR_SPAN("01234567-89AB-4CDE-AFFF-00102030405A"), &back), 0);
    CU_ASSERT_EQUAL(compare(&back, &KNOWN), 0);
}

/* Every byte in every place, and nothing beside it. */
static void test_text_of_every_byte(void) {
    size_t wrong = 0;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < 16; at++) {
            struct car_uuid id = {{0}};
            char got[CAR_UUID_TEXT];
            char want[] = "00000000-0000-0000-0000-000000000000";
            char pair[3];
            snprintf(pair, sizeof pair, "%02x", c);
            memcpy(want + 2 * at + (at >= 4) + (at >= 6) + (at >= 8) + (at >= 10), pair, 2);
            id.bytes[at] = (uint8_t)c;
            car_uuid_write(&id, got);
            wrong += memcmp(got, want, sizeof got) != 0;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_refused(void) {
    static const char *const bad[] = {"",
                                      "01234567-89ab-4cde-afff-00102030405",
                                      "01234567-89ab-4cde-afff-00102030405a0",
                                      "01234567-89ab-4cde-afff-00102030405g",
                                      "0123456789ab4cdeafff00102030405aaaaa",
                                      "{1234567-89ab-4cde-afff-00102030405}",
                                      "01234567_89ab-4cde-afff-00102030405a",
                                      "0123456-789ab-4cde-afff-00102030405a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct car_uuid out = KNOWN;
        CU_ASSERT_EQUAL(car_uuid_read(car_span_cstr(bad[i]), &out), CAR_EINVAL);
        CU_ASSERT_EQUAL(compare(&out, &KNOWN), 0);
    }
}

static const struct car_test TESTS[] = {{"make", test_make},
                                        {"fork", test_fork},
                                        {"text", test_text},
                                        {"text of every byte", test_text_of_every_byte},
                                        {"refused", test_refused}};

int main(void) {
    return car_suite_main("uuid", TESTS, sizeof TESTS / sizeof *TESTS);
}
