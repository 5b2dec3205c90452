#include "carillon/proto/json.h"

#include <stdlib.h>
#include <time.h>

#include "carillon/base/err.h"
#include "suite.h"

/* What the codec hands out for texts that are known. What it accepts is test_json_grammar's. */

#define ASSERT_RAW(value, text) CU_ASSERT_TRUE(car_span_eq((value).raw, car_span_cstr(text)))
#define ASSERT_HOLDS(b, text)   CU_ASSERT_TRUE(car_span_eq(car_buf_view(b), car_span_cstr(text)))

static void test_event(void) {
    struct car_json_member wanted[] = {{.name = "message"}, {.name = "metadata"}, {.name = "type"}, {.name = "none"}};
    struct car_json_value whole;
    struct car_span text =
        CAR_SPAN(" {\"message\" : \"hi \\u00e9\", \"x\":[1,[2]],\n\"metadata\":{ \"a\":[] } ,\"type\":null}\n");
    CU_ASSERT_EQUAL_FATAL(car_json_pick(text, wanted, 4, &whole), 0);
    CU_ASSERT_EQUAL(whole.kind, CAR_JSON_OBJECT);
    CU_ASSERT_EQUAL(whole.depth, 3);
    CU_ASSERT_PTR_EQUAL(whole.raw.ptr, text.ptr + 1);
    CU_ASSERT_EQUAL(whole.raw.len, text.len - 2);
    CU_ASSERT_EQUAL(wanted[0].value.kind, CAR_JSON_STRING);
    ASSERT_RAW(wanted[0].value, "\"hi \\u00e9\"");
    CU_ASSERT_EQUAL(wanted[0].value.depth, 0);
    CU_ASSERT_EQUAL(wanted[1].value.kind, CAR_JSON_OBJECT);
    ASSERT_RAW(wanted[1].value, "{ \"a\":[] }");
    CU_ASSERT_EQUAL(wanted[1].value.depth, 2);
    CU_ASSERT_EQUAL(wanted[2].value.kind, CAR_JSON_NULL);
    CU_ASSERT_EQUAL(wanted[3].value.kind, CAR_JSON_ABSENT);
    CU_ASSERT_PTR_NULL(wanted[3].value.raw.ptr);
}

static void test_kinds(void) {
    static const struct {
        const char *text;
        enum car_json_kind kind;
        unsigned depth;
    } rows[] = {{"null", CAR_JSON_NULL, 0},
                {"true", CAR_JSON_BOOL, 0},
                {" false ", CAR_JSON_BOOL, 0},
                {"-1.5", CAR_JSON_NUMBER, 0},
                {"\"[\"", CAR_JSON_STRING, 0},
                {"[]", CAR_JSON_ARRAY, 1},
                {"[[],[[1]]]", CAR_JSON_ARRAY, 3},
                {"{}", CAR_JSON_OBJECT, 1},
                {"{\"a\":\"{{\"}", CAR_JSON_OBJECT, 1},
                {"{\"a\":{},\"b\":[{}],\"c\":1}", CAR_JSON_OBJECT, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct car_json_value whole;
        CU_ASSERT_EQUAL(car_json_pick(car_span_cstr(rows[i].text), NULL, 0, &whole), 0);
        CU_ASSERT_EQUAL(whole.kind, rows[i].kind);
        CU_ASSERT_EQUAL(whole.depth, rows[i].depth);
    }
}

static void test_names(void) {
    struct car_json_member wanted[] = {{.name = "a"},   {.name = "ab"}, {.name = ""},   {.name = "\xc3\xa9"},
                                       {.name = "\\n"}, {.name = "a"},  {.name = "\""}, {.name = "\xf0\x9f\x98\x80"},
                                       {.name = "nul"}};
    CU_ASSERT_EQUAL_FATAL(
        car_json_pick(CAR_SPAN("{\"a\":1,\"abc\":2,\"\\u0061\":3,\"\":4,\"\\u00E9\":5,\"\\n\":6,\"\\\\n\":7,\"\\\"\":8,"
                               "\"\\ud83d\\ude00\":9,\"nul\\u0000\":10,\"\\u0000\":11,\"A\":12}"),
                      wanted, 9, NULL),
        0);
    ASSERT_RAW(wanted[0].value, "3"); /* the last of the repeated ones, however it is spelled */
    CU_ASSERT_EQUAL(wanted[1].value.kind, CAR_JSON_ABSENT);
    ASSERT_RAW(wanted[2].value, "4");
    ASSERT_RAW(wanted[3].value, "5");
    ASSERT_RAW(wanted[4].value, "7");
    ASSERT_RAW(wanted[5].value, "3");
    ASSERT_RAW(wanted[6].value, "8");
    ASSERT_RAW(wanted[7].value, "9");
    CU_ASSERT_EQUAL(wanted[8].value.kind, CAR_JSON_ABSENT);
}

static void test_only_top_level(void) {
    struct car_json_member wanted[] = {{.name = "a"}};
    CU_ASSERT_EQUAL(car_json_pick(CAR_SPAN("{\"b\":{\"a\":1},\"c\":[{\"a\":2}]}"), wanted, 1, NULL), 0);
    CU_ASSERT_EQUAL(wanted[0].value.kind, CAR_JSON_ABSENT);
    CU_ASSERT_EQUAL(car_json_pick(CAR_SPAN("[{\"a\":2}]"), wanted, 1, NULL), 0);
    CU_ASSERT_EQUAL(wanted[0].value.kind, CAR_JSON_ABSENT);
}

/* Whatever was in them before, and although the member came before the mistake. */
static void test_nothing_after_error(void) {
    static const char *const bad[] = {"{\"a\":1,}", "{\"a\":1} x", "{\"a\":1,\"b\":\"\\ud800\"}", "",
                                      "{\"a\":1,\"a\":}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct car_json_member wanted[] = {{.name = "a", .value = {CAR_JSON_BOOL, CAR_SPAN("x"), 7}}};
        struct car_json_value whole = {CAR_JSON_BOOL, CAR_SPAN("x"), 7};
        CU_ASSERT_EQUAL(car_json_pick(car_span_cstr(bad[i]), wanted, 1, &whole), CAR_EPROTO);
        CU_ASSERT_EQUAL(wanted[0].value.kind, CAR_JSON_ABSENT);
        CU_ASSERT_PTR_NULL(wanted[0].value.raw.ptr);
        CU_ASSERT_EQUAL(whole.kind, CAR_JSON_ABSENT);
        CU_ASSERT_EQUAL(whole.depth, 0);
    }
    CU_ASSERT_EQUAL(car_json_pick(car_span_of(NULL, 0), NULL, 0, NULL), CAR_EPROTO);
}

/* `levels` brackets, every `brace`th of them a brace, around a 1. */
static struct car_buf nest(size_t levels, size_t brace) {
    struct car_buf b = CAR_BUF_INIT;
    for (size_t i = 0; i < levels; i++) {
        if (i % brace == brace - 1) {
            CAR_BUF_LIT(&b, "{\"a\":");
        } else {
            car_buf_char(&b, '[');
        }
    }
    car_buf_char(&b, '1');
    for (size_t i = levels; i-- > 0;) {
        car_buf_char(&b, i % brace == brace - 1 ? '}' : ']');
    }
    return b;
}

static void test_depth(void) {
    static const size_t levels[] = {1, 16, 17, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 100000, 1000003};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        for (size_t brace = 1; brace <= 3; brace++) {
            struct car_json_value whole;
            struct car_buf b = nest(levels[i], brace);
            CU_ASSERT_EQUAL(car_json_pick(car_buf_view(&b), NULL, 0, &whole), 0);
            CU_ASSERT_EQUAL(whole.depth, levels[i]);
            CU_ASSERT_EQUAL(car_json_rewritten_len(whole.raw), b.len);
            /* The innermost bracket, then the outermost, closed by the wrong kind. */
            size_t inner = b.len - levels[i];
            b.data[inner] = b.data[inner] == ']' ? '}' : ']';
            CU_ASSERT_EQUAL(car_json_pick(car_buf_view(&b), NULL, 0, &whole), CAR_EPROTO);
            b.data[inner] = b.data[inner] == ']' ? '}' : ']';
            b.data[b.len - 1] = b.data[b.len - 1] == ']' ? '}' : ']';
            CU_ASSERT_EQUAL(car_json_pick(car_buf_view(&b), NULL, 0, &whole), CAR_EPROTO);
            b.len--;
            CU_ASSERT_EQUAL(car_json_pick(car_buf_view(&b), NULL, 0, &whole), CAR_EPROTO);
            car_buf_free(&b);
        }
    }
}

/* Up and down again over the border of words and of the levels at hand: old bits must not show through. */
static void test_depth_up_and_down(void) {
    static const size_t levels[] = {65, 3, 64, 1030, 2, 63, 1024, 130};
    struct car_buf b = CAR_BUF_INIT;
    car_buf_char(&b, '[');
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct car_buf part = nest(levels[i], 1 + i % 3);
        car_buf_span(&b, car_buf_view(&part));
        car_buf_char(&b, ',');
        car_buf_free(&part);
    }
    b.data[b.len - 1] = ']';
    struct car_json_value whole;
    CU_ASSERT_EQUAL_FATAL(car_json_pick(car_buf_view(&b), NULL, 0, &whole), 0);
    CU_ASSERT_EQUAL(whole.depth, 1031);
    struct car_span rest = whole.raw;
    struct car_json_value element;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        CU_ASSERT_TRUE_FATAL(car_json_next(&rest, &element));
        CU_ASSERT_EQUAL(element.depth, levels[i]);
    }
    CU_ASSERT_FALSE(car_json_next(&rest, &element));
    car_buf_free(&b);
}

static void test_next(void) {
    static const struct {
        const char *raw;
        enum car_json_kind kind;
        unsigned depth;
    } rows[] = {{"1", CAR_JSON_NUMBER, 0},          {"\"a,]\\\"[\"", CAR_JSON_STRING, 0},
                {"[ 1 , [ ] ]", CAR_JSON_ARRAY, 2}, {"{\"b\":\"}\\\\\"}", CAR_JSON_OBJECT, 1},
                {"true", CAR_JSON_BOOL, 0},         {"null", CAR_JSON_NULL, 0},
                {"[]", CAR_JSON_ARRAY, 1},          {"[[[1]],[2]]", CAR_JSON_ARRAY, 3},
                {"-1e5", CAR_JSON_NUMBER, 0},       {"\"\"", CAR_JSON_STRING, 0}};
    size_t count = sizeof rows / sizeof *rows;
    for (int spaces = 0; spaces <= 1; spaces++) {
        struct car_buf b = CAR_BUF_INIT;
        struct car_json_value value;
        for (size_t i = 0; i < count; i++) {
            car_buf_printf(&b, spaces ? "%s \n%s\t" : "%s%s", i ? "," : "[", rows[i].raw);
        }
        car_buf_char(&b, ']');
        CU_ASSERT_EQUAL_FATAL(car_json_pick(car_buf_view(&b), NULL, 0, &value), 0);
        struct car_span rest = value.raw;
        for (size_t i = 0; i < count; i++) {
            CU_ASSERT_TRUE_FATAL(car_json_next(&rest, &value));
            ASSERT_RAW(value, rows[i].raw);
            CU_ASSERT_EQUAL(value.kind, rows[i].kind);
            CU_ASSERT_EQUAL(value.depth, rows[i].depth);
        }
        CU_ASSERT_FALSE(car_json_next(&rest, &value));
        CU_ASSERT_EQUAL(value.kind, CAR_JSON_ABSENT);
        CU_ASSERT_FALSE(car_json_next(&rest, &value));
        car_buf_free(&b);
    }
    struct car_json_value value;
    struct car_span empty = CAR_SPAN("[ \n ]");
    CU_ASSERT_FALSE(car_json_next(&empty, &value));
    CU_ASSERT_FALSE(car_json_next(&empty, &value));
}

static void test_strings(void) {
    const struct {
        const char *raw;
        struct car_span text;
        size_t chars;
    } rows[] = {
        {"\"\"", CAR_SPAN(""), 0},
        {"\"abc\"", CAR_SPAN("abc"), 3},
        {"\"\xe2\x82\xac\xf0\x9f\x98\x80\"", CAR_SPAN("\xe2\x82\xac\xf0\x9f\x98\x80"), 2},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", CAR_SPAN("\"\\/\b\f\n\r\t"), 8},
        {"\"\\u0041\\u00e9\\u20AC\"", CAR_SPAN("A\xc3\xa9\xe2\x82\xac"), 3},
        {"\"\\ud83d\\uDE00!\"", CAR_SPAN("\xf0\x9f\x98\x80!"), 2},
        {"\"\\uD800\\uDC00\\udbff\\udfff\"", CAR_SPAN("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), 2},
        {"\"a\\u0000b\"", CAR_SPAN("a\0b"), 3},
        {"\"\\\\u0041\"", CAR_SPAN("\\u0041"), 6},
        {"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"", CAR_SPAN("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"), 5}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct car_buf out = CAR_BUF_INIT;
        struct car_span raw = car_span_cstr(rows[i].raw);
        CAR_BUF_LIT(&out, "|");
        CU_ASSERT_EQUAL(car_json_string_decode(raw, &out), 0);
        CU_ASSERT_EQUAL(out.data[0], '|');
        CU_ASSERT_TRUE(car_span_eq(car_span_of(out.data + 1, out.len - 1), rows[i].text));
        CU_ASSERT_EQUAL(car_json_string_chars(raw), rows[i].chars);
        car_buf_free(&out);
    }
    struct car_buf failed = {.failed = true};
    CU_ASSERT_EQUAL(car_json_string_decode(CAR_SPAN("\"a\""), &failed), CAR_ENOMEM);
    CU_ASSERT_EQUAL(car_json_string_decode(CAR_SPAN("\"\""), &failed), CAR_ENOMEM);
}

static void test_u64(void) {
    static const struct {
        const char *text;
        int err;
        uint64_t n;
    } rows[] = {{"0", 0, 0},
                {"42", 0, 42},
                {"18446744073709551615", 0, UINT64_MAX},
                {"-1", CAR_EINVAL, 7},
                {"-0", CAR_EINVAL, 7},
                {"18446744073709551616", CAR_EINVAL, 7},
                {"1.0", CAR_EINVAL, 7},
                {"1e3", CAR_EINVAL, 7},
                {"\"1\"", CAR_EINVAL, 7},
                {"[1]", CAR_EINVAL, 7},
                {"true", CAR_EINVAL, 7},
                {"null", CAR_EINVAL, 7}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct car_json_value value;
        uint64_t n = 7;
        CU_ASSERT_EQUAL(car_json_pick(car_span_cstr(rows[i].text), NULL, 0, &value), 0);
        CU_ASSERT_EQUAL(car_json_u64(&value, UINT64_MAX, &n), rows[i].err);
        CU_ASSERT_EQUAL(n, rows[i].n);
    }
    struct car_json_value value = {CAR_JSON_NUMBER, CAR_SPAN("1000"), 0};
    uint64_t n = 7;
    CU_ASSERT_EQUAL(car_json_u64(&value, 1000, &n), 0);
    CU_ASSERT_EQUAL(car_json_u64(&value, 999, &n), CAR_EINVAL);
    CU_ASSERT_EQUAL(n, 1000);
    CU_ASSERT_EQUAL(car_json_u64(&(struct car_json_value){0}, 1000, &n), CAR_EINVAL);
}

static void check_literal(struct car_span text, const char *want) {
    struct car_buf out = CAR_BUF_INIT;
    car_json_write_string(&out, text);
    ASSERT_HOLDS(&out, want);
    car_buf_free(&out);
}

static void test_write_string(void) {
    check_literal(CAR_SPAN(""), "\"\"");
    check_literal(car_span_of(NULL, 0), "\"\"");
    check_literal(CAR_SPAN("plain text, longer than a word"), "\"plain text, longer than a word\"");
    check_literal(CAR_SPAN("<a href=\"x\">&'\\/"), "\"\\u003ca href=\\\"x\\\"\\u003e\\u0026'\\\\/\"");
    check_literal(CAR_SPAN("\b\f\n\r\t\x01\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    check_literal(CAR_SPAN("a\0b"), "\"a\\u0000b\"");
    check_literal(CAR_SPAN("\xe2\x80\xa8x\xe2\x80\xa9\xe2\x80\xa7\xe2\x82\xac"),
                  "\"\\u2028x\\u2029\xe2\x80\xa7\xe2\x82\xac\"");
    check_literal(CAR_SPAN("\xc3\xa9\xf0\x9f\x98\x80 ok"), "\"\xc3\xa9\xf0\x9f\x98\x80 ok\"");
    check_literal(CAR_SPAN("\xff\xc3(\xed\xa0\x80\xe2\x82"), "\"\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
    /* Each special at each place of a word. */
    for (size_t at = 0; at < 20; at++) {
        char text[] = "01234567890123456789";
        char want[64];
        text[at] = '<';
        snprintf(want, sizeof want, "\"%.*s\\u003c%s\"", (int)at, text, text + at + 1);
        check_literal(car_span_cstr(text), want);
    }
}

static void check_rewritten(const char *text, const char *want) {
    struct car_json_value whole;
    struct car_buf out = CAR_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(car_json_pick(car_span_cstr(text), NULL, 0, &whole), 0);
    CAR_BUF_LIT(&out, "x");
    car_json_rewrite(&out, whole.raw);
    CU_ASSERT_TRUE(out.len > 0 && out.data[0] == 'x');
    car_buf_consume(&out, 1);
    ASSERT_HOLDS(&out, want);
    CU_ASSERT_EQUAL(car_json_rewritten_len(whole.raw), strlen(want));
    car_buf_free(&out);
}

static void test_rewrite(void) {
    check_rewritten(" 1 ", "1");
    check_rewritten("\"\"", "\"\"");
    check_rewritten("{ \"b\" : [ 1.50 , -0 , 1E+02 ] ,\r\n\t\"a\":\" two  spaces \\t \" }",
                    "{\"b\":[1.50,-0,1E+02],\"a\":\" two  spaces \\t \"}");
    check_rewritten("\"<b>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xe2\x82\xac\"",
                    "\"\\u003cb\\u003e\\u0026\\u2028\\u2029\xe2\x80\xaa\xe2\x82\xac\"");
    check_rewritten("\"\\u003C\\u003c\\/\\\"<\\\\\"", "\"\\u003C\\u003c\\/\\\"\\u003c\\\\\"");
    check_rewritten("{\"<\":{\"&\":[\">\"]},\"a\":1,\"a\":2}",
                    "{\"\\u003c\":{\"\\u0026\":[\"\\u003e\"]},\"a\":1,\"a\":2}");
    check_rewritten("123456789012345678901234567890.000", "123456789012345678901234567890.000");
    for (size_t at = 0; at < 20; at++) {
        char text[] = "\"01234567890123456789\"";
        char want[64];
        text[at + 1] = '&';
        snprintf(want, sizeof want, "%.*s\\u0026%s", (int)at + 1, text, text + at + 2);
        check_rewritten(text, want);
    }
    struct car_buf out = CAR_BUF_INIT;
    car_json_rewrite(&out, car_span_of(NULL, 0));
    CU_ASSERT_EQUAL(out.len, 0);
    car_buf_free(&out);
}

/* A megabyte of what is worst for each loop: quadratic time would take minutes. */
static void test_linear(void) {
    static const char *const units[] = {"[", "{\"\":", "\\u0000", "\\ud83d\\ude00", "\xe2\x80\xa8",
                                        "<", "\\\\",   "1,",      "\"\","};
    clock_t begin = clock();
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        for (int quoted = 0; quoted <= 1; quoted++) {
            struct car_buf b = CAR_BUF_INIT;
            struct car_buf out = CAR_BUF_INIT;
            struct car_json_value element;
            car_buf_put(&b, quoted ? "[\"" : "[0,", quoted ? 2 : 3);
            while (b.len < 1000000) {
                car_buf_span(&b, car_span_cstr(units[i]));
            }
            car_buf_put(&b, quoted ? "\"]" : "1]", 2);
            car_json_pick(car_buf_view(&b), NULL, 0, NULL);
            car_json_rewrite(&out, car_buf_view(&b));
            struct car_span rest = car_buf_view(&b);
            while (car_json_next(&rest, &element)) {
                car_json_string_chars(element.raw);
            }
            car_buf_free(&b);
            car_buf_free(&out);
        }
    }
    CU_ASSERT_TRUE(clock() - begin < 20 * CLOCKS_PER_SEC);
}

static const struct car_test TESTS[] = {{"an event", test_event},
                                        {"kinds and depth", test_kinds},
                                        {"names", test_names},
                                        {"only the top level", test_only_top_level},
                                        {"nothing after an error", test_nothing_after_error},
                                        {"deep nesting", test_depth},
                                        {"nesting up and down", test_depth_up_and_down},
                                        {"elements", test_next},
                                        {"strings", test_strings},
                                        {"integers", test_u64},
                                        {"written strings", test_write_string},
                                        {"rewriting", test_rewrite},
                                        {"linear time", test_linear}};

int main(void) {
    return car_suite_main("json", TESTS, sizeof TESTS / sizeof *TESTS);
}
