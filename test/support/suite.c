#include "suite.h"

#include <CUnit/Basic.h>
#include <stdlib.h>

int car_suite_main(const char *suite, const struct car_test *tests, size_t count) {
    if (CU_initialize_registry() != CUE_SUCCESS) {
        return EXIT_FAILURE;
    }
    CU_pSuite rows = CU_add_suite(suite, NULL, NULL);
    for (size_t i = 0; rows && i < count; i++) {
        if (!CU_add_test(rows, tests[i].name, tests[i].run)) {
            rows = NULL;
        }
    }
    int code = EXIT_FAILURE;
    if (rows) {
        CU_basic_set_mode(CU_BRM_NORMAL);
        CU_ErrorCode ran = CU_basic_run_tests();
        code = ran == CUE_SUCCESS && CU_get_number_of_failures() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    CU_cleanup_registry();
    return code;
}
