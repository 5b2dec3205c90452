#ifndef CARILLON_TEST_SUPPORT_SUITE_H
#define CARILLON_TEST_SUPPORT_SUITE_H

#include <CUnit/CUnit.h>
#include <stddef.h>

/* One row of a suite's table. */
struct car_test {
    const char *name;
    void (*run)(void);
};

/* Runs the rows through CUnit and prints what failed. Returns main's exit code: 0 where every assertion held. */
int car_suite_main(const char *suite, const struct car_test *tests, size_t count);

#endif
