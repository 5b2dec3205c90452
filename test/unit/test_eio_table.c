#include "net/eio_table.h"

#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/runtime/worker.h"
#include "support/suite.h"

#define MANY 5000

static struct car_eio_table *table;
static unsigned visited;

static void visit_and_remove(struct car_eio *eio) {
    visited++;
    car_eio_table_remove(table, eio);
}

/* Most sessions come and go; those that stay are found, and those that have gone are not. */
static void test_come_and_go(void) {
    table = car_eio_table_new();
    struct car_eio *eios = calloc(MANY, sizeof *eios);
    CU_ASSERT_FATAL(table && eios);
    unsigned wrong = 0;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            wrong += car_eio_table_add(table, &eios[i]) != 0;
            if (i >= 50 && i % 10) {
                car_eio_table_remove(table, &eios[i - i % 10]);
                wrong += car_eio_table_find(table, eios[i - i % 10].key) != NULL;
                wrong += car_eio_table_add(table, &eios[i - i % 10]) != 0;
            }
        }
        for (unsigned i = 0; i < MANY; i++) {
            wrong += car_eio_table_find(table, eios[i].key) != &eios[i];
        }
        visited = 0;
        car_eio_table_each(table, visit_and_remove);
        wrong += visited != MANY;
        for (unsigned i = 0; i < MANY; i++) {
            wrong += car_eio_table_find(table, eios[i].key) != NULL;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    car_eio_table_free(&table);
    car_eio_table_free(&table);
    free(eios);
}

static bool visit_odd(struct car_eio *eio) {
    visited++;
    if (eio->ping_at % 2) {
        eio->deadline++;
        return true;
    }
    car_eio_table_remove(table, eio); /* one that ends meanwhile */
    return false;
}

/* A few at a time: each is visited once, whatever goes meanwhile. */
static void test_some(void) {
    table = car_eio_table_new();
    struct car_eio *eios = calloc(MANY, sizeof *eios);
    CU_ASSERT_FATAL(table && eios);
    for (unsigned i = 0; i < MANY; i++) {
        eios[i].ping_at = i;
        CU_ASSERT_EQUAL_FATAL(car_eio_table_add(table, &eios[i]), 0);
    }
    CU_ASSERT_EQUAL(car_eio_table_count(table), MANY);
    visited = 0;
    CU_ASSERT_EQUAL(car_eio_table_some(table, 7, visit_odd), 7);
    CU_ASSERT_TRUE(visited < 100);
    CU_ASSERT_EQUAL(car_eio_table_some(table, SIZE_MAX, visit_odd), MANY / 2 - 7);
    CU_ASSERT_EQUAL(visited, MANY);
    CU_ASSERT_EQUAL(car_eio_table_some(table, 7, visit_odd), 0);
    unsigned wrong = 0;
    for (unsigned i = 0; i < MANY; i++) {
        wrong += eios[i].deadline != i % 2;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(car_eio_table_count(table), MANY / 2);
    car_eio_table_free(&table);
    free(eios);
}

static void test_sid(void) {
    struct car_worker *worker = calloc(1, sizeof *worker);
    struct car_eio eio = {.worker = worker};
    char sid[CAR_EIO_SID_LEN];
    uint8_t key[16];
    unsigned id = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(worker);
    table = car_eio_table_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    worker->id = 1023;
    CU_ASSERT_EQUAL(car_eio_table_add(table, &eio), 0);
    car_eio_sid(&eio, sid);
    CU_ASSERT_EQUAL(car_eio_sid_read(car_span_of(sid, sizeof sid), &id, key), 0);
    CU_ASSERT_EQUAL(id, 1023);
    CU_ASSERT_PTR_EQUAL(car_eio_table_find(table, key), &eio);
    for (size_t i = 0; i < sizeof sid; i++) {
        char was = sid[i];
        sid[i] = was == 'A' ? 'B' : 'A';
        bool read = car_eio_sid_read(car_span_of(sid, sizeof sid), &id, key) == 0;
        CU_ASSERT(read && (id != 1023 || !car_eio_table_find(table, key)));
        sid[i] = '.';
        CU_ASSERT_EQUAL(car_eio_sid_read(car_span_of(sid, sizeof sid), &id, key), CAR_EINVAL);
        CU_ASSERT_EQUAL(car_eio_sid_read(car_span_of(sid, i), &id, key), CAR_EINVAL);
        sid[i] = was;
    }
    car_eio_table_remove(table, &eio);
    car_eio_table_free(&table);
    free(worker);
}

static const struct car_test TESTS[] = {
    {"come and go", test_come_and_go}, {"a few at a time", test_some}, {"ids", test_sid}};

int main(void) {
    return car_suite_main("eio_table", TESTS, sizeof TESTS / sizeof *TESTS);
}
