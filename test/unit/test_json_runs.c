#include <string.h>

#include "carillon/base/buf.h"
#include "carillon/proto/json.h"
#include "json_oracle.h"
#include "suite.h"

/* What is plain is passed over many bytes at a time: strings of every length, with every thing that is not plain in
 * every place. The oracle reads each in memory of its exact size. */

enum { LEN_MAX = 80 };

static size_t put_run(char *text, size_t at, size_t len) {
    memset(text + at, 'x', len);
    return at + len;
}

static size_t put(char *text, size_t at, const char *bytes) {
    memcpy(text + at, bytes, strlen(bytes));
    return at + strlen(bytes);
}

struct piece {
    const char *bytes;
    bool valid;
    size_t chars;
    const char *rewritten; /* NULL: as it is */
};

static const struct piece PIECES[] = {
    {"", true, 0, NULL},
    {"\\\"", true, 1, NULL},
    {"\\\\", true, 1, NULL},
    {"\\u00e9", true, 1, NULL},
    {"\\ud83d\\ude00", true, 1, NULL},
    {"\xc3\xa9", true, 1, NULL},
    {"\xe2\x82\xac", true, 1, NULL},
    {"\xf0\x9f\x98\x80", true, 1, NULL},
    {"\x7f", true, 1, NULL},
    {"<", true, 1, "\\u003c"},
    {">", true, 1, "\\u003e"},
    {"&", true, 1, "\\u0026"},
    {"\xe2\x80\xa8", true, 1, "\\u2028"},
    {"\xe2\x80\xa9", true, 1, "\\u2029"},
    {"'", true, 1, NULL},
    {":", true, 1, NULL},
    {"\"", false, 0, NULL},
    {"\\", false, 0, NULL},
    {"\x1f", false, 0, NULL},
    {"\n", false, 0, NULL},
    {"\x80", false, 0, NULL},
    {"\xe2\x82", false, 0, NULL},
    {"\xff", false, 0, NULL},
};

/* A literal with that piece after `before` plain characters and `after` of them behind it. */
static size_t literal(char *text, size_t before, const char *piece, size_t after) {
    size_t at = put_run(text, put(text, 0, "\""), before);
    return put(text, put_run(text, put(text, at, piece), after), "\"");
}

/* How many things do not hold for that piece in that place. */
static size_t check(const struct piece *piece, size_t before, size_t after) {
    static const char *const around[][2] = {{"", ""}, {"{\"m\":", ",\"n\":1}"}, {"[", ",2]"}};
    char text[LEN_MAX + 40];
    char raw[LEN_MAX + 20];
    size_t raw_len = literal(raw, before, piece->bytes, after);
    raw[raw_len] = '\0';
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        size_t len = put(text, put(text, put(text, 0, around[i][0]), raw), around[i][1]);
        wrong += json_oracle_check(text, len) != piece->valid;
    }
    if (!piece->valid) {
        return wrong;
    }
    char wanted[LEN_MAX + 20];
    size_t wanted_len = literal(wanted, before, piece->rewritten ? piece->rewritten : piece->bytes, after);
    struct car_buf got = CAR_BUF_INIT;
    car_json_rewrite(&got, car_span_of(raw, raw_len));
    wrong += !car_span_eq(car_buf_view(&got), car_span_of(wanted, wanted_len));
    wrong += car_json_string_chars(car_span_of(raw, raw_len)) != before + piece->chars + after;
    car_buf_free(&got);
    return wrong;
}

static void test_everywhere(void) {
    size_t wrong = 0;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t before = 0; before <= len; before++) {
            for (size_t k = 0; k < sizeof PIECES / sizeof *PIECES; k++) {
                wrong += check(&PIECES[k], before, len - before);
            }
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* The same places for what a writer has to escape in any text. */
static void test_write(void) {
    static const struct {
        const char *byte;
        const char *written;
    } rows[] = {{"\"", "\\\""},   {"\\", "\\\\"},   {"\n", "\\n"},       {"\x1f", "\\u001f"},         {"<", "\\u003c"},
                {">", "\\u003e"}, {"&", "\\u0026"}, {"\xff", "\\ufffd"}, {"\xe2\x80\xa8", "\\u2028"}, {"\x7f", "\x7f"}};
    size_t wrong = 0;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t before = 0; before <= len; before++) {
            for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
                char text[LEN_MAX + 20];
                char wanted[LEN_MAX + 20];
                size_t text_len = put_run(text, put(text, put_run(text, 0, before), rows[k].byte), len - before);
                size_t wanted_len = literal(wanted, before, rows[k].written, len - before);
                struct car_buf got = CAR_BUF_INIT;
                car_json_write_string(&got, car_span_of(text, text_len));
                wrong += !car_span_eq(car_buf_view(&got), car_span_of(wanted, wanted_len));
                car_buf_free(&got);
            }
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Names that differ late, early, in length only, and not at all. */
static void test_names(void) {
    struct car_json_member wanted[] = {
        {.name = "type"}, {.name = "typ"}, {.name = "types"}, {.name = ""}, {.name = "t"}};
    CU_ASSERT_EQUAL(car_json_pick(CAR_SPAN("{\"typ\":1,\"type\":2,\"tap\":3,\"\":4}"), wanted, 5, NULL), 0);
    CU_ASSERT_TRUE(car_span_eq(wanted[0].value.raw, CAR_SPAN("2")));
    CU_ASSERT_TRUE(car_span_eq(wanted[1].value.raw, CAR_SPAN("1")));
    CU_ASSERT_EQUAL(wanted[2].value.kind, CAR_JSON_ABSENT);
    CU_ASSERT_TRUE(car_span_eq(wanted[3].value.raw, CAR_SPAN("4")));
    CU_ASSERT_EQUAL(wanted[4].value.kind, CAR_JSON_ABSENT);
    CU_ASSERT_EQUAL(car_json_pick(CAR_SPAN("{\"\\u0074ype\":1,\"t\\u0079p\":2,\"\\u0074\":3}"), wanted, 5, NULL), 0);
    CU_ASSERT_TRUE(car_span_eq(wanted[0].value.raw, CAR_SPAN("1")));
    CU_ASSERT_TRUE(car_span_eq(wanted[1].value.raw, CAR_SPAN("2")));
    CU_ASSERT_TRUE(car_span_eq(wanted[4].value.raw, CAR_SPAN("3")));
}

static const struct car_test TESTS[] = {{"everywhere", test_everywhere}, {"write", test_write}, {"names", test_names}};

int main(void) {
    return car_suite_main("json_runs", TESTS, sizeof TESTS / sizeof *TESTS);
}
