#include "carillon/proto/http.h"
#include "suite.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static void test_status_lines(void) {
    static const struct {
        int status;
        const char *line;
    } rows[] = {
        {200, "HTTP/1.1 200 OK\r\n"},
        {100, "HTTP/1.1 100 Continue\r\n"},
        {413, "HTTP/1.1 413 Content Too Large\r\n"},
        {431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
        {599, "HTTP/1.1 599 Unknown\r\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct car_buf out = CAR_BUF_INIT;
        car_http_status_line(&out, rows[i].status);
        CU_ASSERT_TRUE(car_span_eq(car_buf_view(&out), car_span_cstr(rows[i].line)));
        car_buf_free(&out);
    }
}

static void test_statuses_in_use(void) {
    static const int statuses[] = {100, 101, 200, 201, 204, 304, 400, 401, 403, 404, 405, 408,
                                   409, 413, 414, 415, 422, 426, 429, 431, 500, 501, 503, 505};
    for (size_t i = 0; i < COUNT(statuses); i++) {
        CU_ASSERT_STRING_NOT_EQUAL(car_http_status_text(statuses[i]), "Unknown");
    }
    CU_ASSERT_STRING_EQUAL(car_http_status_text(0), "Unknown");
    CU_ASSERT_STRING_EQUAL(car_http_status_text(-1), "Unknown");
}

static void test_dates(void) {
    static const struct {
        int64_t wall_ms;
        const char *date;
    } rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {-1, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777000, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110, section 5.6.7 */
        {784111777999, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400000, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {253402300799999, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char date[CAR_HTTP_DATE_LEN + 1] = "";
        date[CAR_HTTP_DATE_LEN] = '!';
        car_http_date(rows[i].wall_ms, date);
        CU_ASSERT_EQUAL(date[CAR_HTTP_DATE_LEN], '!');
        CU_ASSERT_TRUE(car_span_eq(car_span_of(date, CAR_HTTP_DATE_LEN), car_span_cstr(rows[i].date)));
    }
}

static const struct car_test TESTS[] = {
    {"status lines", test_status_lines},
    {"statuses that Carillon answers", test_statuses_in_use},
    {"dates", test_dates},
};

int main(void) {
    return car_suite_main("http response", TESTS, COUNT(TESTS));
}
