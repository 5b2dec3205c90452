#include "app/tls_files.h"

#include <string.h>

#include "suite.h"

#define DAY 86400

/* What is said at `now` of a certificate that ends at `expires`; "" where nothing is. */
static const char *said(int64_t expires, int64_t now) {
    static char text[256];
    struct car_buf out = CAR_BUF_INIT;
    bool any = car_tls_files_advice("/x/chain.pem", expires, now, &out);
    CU_ASSERT_EQUAL(any, out.len > 0);
    CU_ASSERT_FATAL(out.len < sizeof text);
    memcpy(text, out.len ? out.data : "", out.len);
    text[out.len] = '\0';
    car_buf_free(&out);
    return text;
}

#define SAYS(text, what, at)                                                                                           \
    CU_ASSERT_STRING_EQUAL(text, "--tls-cert: /x/chain.pem: the certificate in use " what ", at " at)

static void test_there_is_time(void) {
    CU_ASSERT_STRING_EQUAL(said(14 * DAY, 0), "");
    CU_ASSERT_STRING_EQUAL(said(1700000000 + 14 * DAY, 1700000000), "");
    CU_ASSERT_STRING_EQUAL(said(253402300799, 1700000000), "");
}

static void test_it_ends_soon(void) {
    SAYS(said(14 * DAY - 1, 0), "expires within 14 days", "1970-01-14T23:59:59.000Z");
    SAYS(said(14 * DAY, 1), "expires within 14 days", "1970-01-15T00:00:00.000Z");
    SAYS(said(13 * DAY, 1), "expires within 13 days", "1970-01-14T00:00:00.000Z");
    SAYS(said(2 * DAY, 1), "expires within 2 days", "1970-01-03T00:00:00.000Z");
    SAYS(said(DAY, 1), "expires within 1 day", "1970-01-02T00:00:00.000Z");
}

/* It is good to the end of its last second. */
static void test_it_has_ended(void) {
    SAYS(said(1700000000, 1700000000), "expires within 1 day", "2023-11-14T22:13:20.000Z");
    SAYS(said(1700000000, 1700000001), "has expired", "2023-11-14T22:13:20.000Z");
    SAYS(said(0, 1700000000), "has expired", "1970-01-01T00:00:00.000Z");
}

static const struct car_test TESTS[] = {
    {"there is time", test_there_is_time},
    {"it ends soon", test_it_ends_soon},
    {"it has ended", test_it_has_ended},
};

int main(void) {
    return car_suite_main("tls_files", TESTS, sizeof TESTS / sizeof *TESTS);
}
