#include "carillon/base/err.h"
#include "carillon/proto/http.h"
#include "proto/http_chars.h"
#include "suite.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static bool holds(const struct car_buf *b, const char *text, size_t len) {
    return b->len == len && (len == 0 || memcmp(b->data, text, len) == 0);
}

static void test_first_value(void) {
    static const struct {
        const char *query, *name;
        int result;
        const char *value;
    } rows[] = {
        {"a=1", "a", 0, "1"},
        {"b=2&a=1", "a", 0, "1"},
        {"a=1&a=2", "a", 0, "1"},
        {"aa=2&a=1", "a", 0, "1"},
        {"a", "a", 0, ""},
        {"a=", "a", 0, ""},
        {"a=b=c", "a", 0, "b=c"},
        {"&&a=1&&", "a", 0, "1"},
        {"a=x+y%20z%2B", "a", 0, "x y z+"},
        {"a=%C3%a9", "a", 0, "\xc3\xa9"},
        {"%61=1", "a", 0, "1"},
        {"a+b=1", "a b", 0, "1"},
        {"a;b=1", "a", CAR_ENOENT, ""},
        {"=1", "", 0, "1"},
        {"A=1", "a", CAR_ENOENT, ""},
        {"b=a=1", "a", CAR_ENOENT, ""},
        {"", "a", CAR_ENOENT, ""},
        {"&", "a", CAR_ENOENT, ""},
        {"a%=1", "a", CAR_ENOENT, ""},
        {"a%00b=1", "a", CAR_ENOENT, ""},
        {"a=%", "a", CAR_EPROTO, ""},
        {"a=x%4", "a", CAR_EPROTO, ""},
        {"a=%4g", "a", CAR_EPROTO, ""},
        {"a=%g4", "a", CAR_EPROTO, ""},
        {"a=%%41", "a", CAR_EPROTO, ""},
        {"a=%+1", "a", CAR_EPROTO, ""},
        {"a=%&b=41", "a", CAR_EPROTO, ""},
        {"b=%&a=41", "a", 0, "41"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct car_buf out = CAR_BUF_INIT;
        CAR_BUF_LIT(&out, "-");
        int result = car_http_param(car_span_cstr(rows[i].query), rows[i].name, &out);
        CU_ASSERT_EQUAL(result, rows[i].result);
        CU_ASSERT_TRUE(out.len > 0 && out.data[0] == '-');
        car_buf_consume(&out, 1);
        CU_ASSERT_TRUE(holds(&out, rows[i].value, strlen(rows[i].value)));
        car_buf_free(&out);
    }
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_http_param((struct car_span){0}, "a", &out), CAR_ENOENT);
    CU_ASSERT_EQUAL(car_http_param(CAR_SPAN("a=%00%ff"), "a", &out), 0);
    CU_ASSERT_TRUE(holds(&out, "\0\xff", 2));
    car_buf_free(&out);
}

static void test_all_values(void) {
    struct car_span rest = CAR_SPAN("type=a&x=1&type=b+c&type&y");
    static const char *const wanted[] = {"a", "b c", ""};
    for (size_t i = 0; i < COUNT(wanted); i++) {
        struct car_buf out = CAR_BUF_INIT;
        CU_ASSERT_EQUAL(car_http_param_next(&rest, "type", &out), 0);
        CU_ASSERT_TRUE(holds(&out, wanted[i], strlen(wanted[i])));
        car_buf_free(&out);
    }
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_http_param_next(&rest, "type", &out), CAR_ENOENT);
    CU_ASSERT_EQUAL(car_http_param_next(&rest, "type", &out), CAR_ENOENT);
    car_buf_free(&out);
}

static void test_pairs(void) {
    struct car_span rest = CAR_SPAN("&a=%41&b&&c=&=d");
    static const struct { const char *name, *value; } rows[] = {{"a", "%41"}, {"b", NULL}, {"c", ""}, {"", "d"}};
    struct car_span name;
    struct car_span value;
    for (size_t i = 0; i < COUNT(rows); i++) {
        CU_ASSERT_TRUE(car_http_pair_next(&rest, &name, &value));
        CU_ASSERT_TRUE(car_span_eq(name, car_span_cstr(rows[i].name)));
        CU_ASSERT_TRUE(car_span_eq(value, car_span_cstr(rows[i].value)));
        CU_ASSERT_EQUAL(value.ptr == NULL, rows[i].value == NULL);
    }
    CU_ASSERT_FALSE(car_http_pair_next(&rest, &name, &value));
}

static void test_paths(void) {
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_http_decode(CAR_SPAN("a+b%2Fc"), false, &out), 0);
    CU_ASSERT_TRUE(holds(&out, "a+b/c", 5));
    CU_ASSERT_EQUAL(car_http_decode(CAR_SPAN("xyz%"), false, &out), CAR_EPROTO);
    CU_ASSERT_TRUE(holds(&out, "a+b/c", 5));
    CU_ASSERT_EQUAL(car_http_decode((struct car_span){0}, false, &out), 0);
    CU_ASSERT_TRUE(holds(&out, "a+b/c", 5));
    car_buf_free(&out);
}

#define HEADER(n, v)                                                                                                   \
    {                                                                                                                  \
        {(n), sizeof(n) - 1}, {                                                                                        \
            (v), sizeof(v) - 1                                                                                         \
        }                                                                                                              \
    }

static void test_headers(void) {
    static const struct car_http_header headers[] = {
        HEADER("X-Tenant-ID", "one"),    HEADER("Connection", "keep-alive,Upgrade"),
        HEADER("x-tenant-id", "two"),    HEADER("connection", ""),
        HEADER("connection", " close "), HEADER("Empty", ""),
    };
    const struct car_http_request req = {.headers = headers, .header_count = COUNT(headers)};
    size_t count = 9;
    CU_ASSERT_TRUE(car_span_eq(car_http_header_get(&req, "x-TENANT-id", &count), CAR_SPAN("one")));
    CU_ASSERT_EQUAL(count, 2);
    CU_ASSERT_PTR_NULL(car_http_header_get(&req, "X-Tenant", &count).ptr);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_PTR_NOT_NULL(car_http_header_get(&req, "empty", NULL).ptr);
    CU_ASSERT_TRUE(car_http_header_has_token(&req, "Connection", "upgrade"));
    CU_ASSERT_TRUE(car_http_header_has_token(&req, "Connection", "CLOSE"));
    CU_ASSERT_FALSE(car_http_header_has_token(&req, "Connection", "keep"));
    CU_ASSERT_FALSE(car_http_header_has_token(&req, "Connections", "close"));
    CU_ASSERT_FALSE(car_http_header_has_token(&req, "Empty", "close"));
}

/* What is known of the names' lengths only ever says that there is no such header. */
static void test_name_lens(void) {
#define LONG_NAME "A-name-that-is-sixty-eight-characters-long-which-is-64-and-those-of-Host"
    static const struct car_http_header headers[] = {HEADER("Host", "h"), HEADER(LONG_NAME, "v")};
    struct car_http_request req = {.headers = headers, .header_count = 1, .name_lens = UINT64_C(1) << 4};
    CU_ASSERT_TRUE(car_span_eq(car_http_header_get(&req, "HOST", NULL), CAR_SPAN("h")));
    size_t count = 9;
    CU_ASSERT_PTR_NULL(car_http_header_get(&req, "Origin", &count).ptr);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_PTR_NULL(car_http_header_get(&req, "Date", &count).ptr);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_PTR_NULL(car_http_header_get(&req, LONG_NAME, NULL).ptr);
    CU_ASSERT_FALSE(car_http_header_has_token(&req, "Origin", "h"));
    CU_ASSERT_TRUE(car_http_header_has_token(&req, "host", "H"));
    CU_ASSERT_FALSE(car_http_header_accepts(&req, "Accept", "h"));
    CU_ASSERT_TRUE(car_http_header_accepts(&req, "Host", "h"));
    req.header_count = 2;
    req.name_lens |= UINT64_C(1) << ((sizeof LONG_NAME - 1) % 64);
    CU_ASSERT_TRUE(car_span_eq(car_http_header_get(&req, LONG_NAME, NULL), CAR_SPAN("v")));
}

static void test_weights(void) {
    static const struct {
        const char *value;
        bool accepted;
    } rows[] = {
        {"gzip", true},
        {"br, gzip;q=0.5", true},
        {"br , GZIP ; q=1.0", true},
        {"gzip;level=9;q=0.001", true},
        {"gzip;q=0", false},
        {"gzip; Q=0.000", false},
        {"gzip;q=0.", false},
        {"gzip;level=9;q=0.0", false},
        {"gzip;q=00", true},
        {"br", false},
        {"x-gzip", false},
        {"gzipx;q=1", false},
        {"", false},
        {",;,", false},
        {"gzip;q=0, gzip", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct car_http_header header = {CAR_SPAN("Accept-Encoding"), car_span_cstr(rows[i].value)};
        const struct car_http_request req = {.headers = &header, .header_count = 1};
        CU_ASSERT_EQUAL(car_http_header_accepts(&req, "accept-encoding", "gzip"), rows[i].accepted);
    }
}

static bool is_one_of(int c, const char *set) {
    return c != 0 && c < 128 && strchr(set, c) != NULL;
}

/* The table against the grammars, written out once more. */
static void test_character_classes(void) {
    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool visible = c > 0x20 && c < 0x7f;
        bool field = visible || c == ' ' || c == '\t' || c >= 0x80;
        CU_ASSERT_EQUAL(http_is((char)c, HTTP_TCHAR), alnum || is_one_of(c, "!#$%&'*+-.^_`|~"));
        CU_ASSERT_EQUAL(http_is((char)c, HTTP_FIELD), field);
        CU_ASSERT_EQUAL(http_is((char)c, HTTP_TARGET), visible && c != '#');
        CU_ASSERT_EQUAL(http_is((char)c, HTTP_QDTEXT), field && c != '"' && c != '\\');
        CU_ASSERT_EQUAL(http_is((char)c, HTTP_REGNAME), alnum || is_one_of(c, "-._~!$&'()*+,;=%"));
    }
}

static const struct car_test TESTS[] = {
    {"the first value", test_first_value},
    {"all values", test_all_values},
    {"pairs", test_pairs},
    {"paths", test_paths},
    {"headers", test_headers},
    {"lengths of names", test_name_lens},
    {"weights", test_weights},
    {"classes of bytes", test_character_classes},
};

int main(void) {
    return car_suite_main("http params", TESTS, COUNT(TESTS));
}
