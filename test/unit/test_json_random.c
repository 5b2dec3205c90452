#include <string.h>

#include "carillon/base/buf.h"
#include "json_oracle.h"
#include "suite.h"

/* Generated JSON, and what becomes of it with a few bytes changed, held against jansson. The same texts in each run. */

/* The oracle's verdict, with anything that does not hold as a failure. */
static int verdict(const char *text, size_t len) {
    int result = json_oracle_check(text, len);
    CU_ASSERT_NOT_EQUAL(result, -1);
    return result;
}

static uint64_t rng_state = 88172645463325252;

static unsigned rnd(unsigned below) {
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (unsigned)(rng_state >> 33) % below;
}

static void put_one_of(struct car_buf *b, const char *const *pieces, size_t count) {
    car_buf_span(b, car_span_cstr(pieces[rnd((unsigned)count)]));
}

#define PUT_ONE_OF(b, pieces) put_one_of(b, pieces, sizeof(pieces) / sizeof *(pieces))

static void put_string(struct car_buf *b) {
    static const char *const pieces[] = {"a",
                                         "message",
                                         "<b>",
                                         "&",
                                         " ",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xe2\x80\xa8",
                                         "\xe2\x80\xa9",
                                         "\xf0\x9f\x98\x80",
                                         "\\n",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\u0000",
                                         "\\u00e9",
                                         "\\ud83d\\ude00",
                                         "\\u003c",
                                         "\x7f",
                                         "longer text here"};
    car_buf_char(b, '"');
    for (unsigned i = rnd(6); i > 0; i--) {
        PUT_ONE_OF(b, pieces);
    }
    car_buf_char(b, '"');
}

static void put_space(struct car_buf *b) {
    static const char *const pieces[] = {"", "", "", "", " ", "\n", "\r\n\t", "  "};
    PUT_ONE_OF(b, pieces);
}

static void put_value(struct car_buf *b, unsigned depth) {
    static const char *const scalars[] = {
        "true", "false", "null", "0", "-0", "1", "-1.5e3", "1E400", "123456789012345678901", "0.10"};
    static const char *const names[] = {"\"a\"",    "\"\\u0061\"",  "\"b\"",      "\"\"",
                                        "\"\\\"\"", "\"\xc3\xa9\"", "\"\\u00e9\""};
    put_space(b);
    unsigned what = rnd(depth > 0 ? 6 : 3);
    if (what < 2) {
        PUT_ONE_OF(b, scalars);
    } else if (what == 2) {
        put_string(b);
    } else {
        bool object = what == 3;
        car_buf_char(b, object ? '{' : '[');
        for (unsigned i = 0, count = rnd(5); i < count; i++) {
            if (i > 0) {
                car_buf_char(b, ',');
            }
            put_space(b);
            if (object) {
                PUT_ONE_OF(b, names);
                put_space(b);
                car_buf_char(b, ':');
            }
            put_value(b, depth - 1);
        }
        put_space(b);
        car_buf_char(b, object ? '}' : ']');
    }
    put_space(b);
}

static void damage(struct car_buf *b) {
    static const char bytes[] = "{}[]\",:\\0123456789eE+-.truefalsn <>&\x00\x1f\x7f\x80\xa8\xc3\xe2\xed\xf0\xff";
    size_t at = rnd((unsigned)b->len);
    switch (rnd(3)) {
    case 0:
        b->data[at] = bytes[rnd(sizeof bytes)];
        break;
    case 1:
        memmove(b->data + at, b->data + at + 1, b->len - at - 1);
        b->len--;
        break;
    default:
        car_buf_char(b, 'x');
        memmove(b->data + at + 1, b->data + at, b->len - at - 1);
        b->data[at] = bytes[rnd(sizeof bytes)];
        break;
    }
}

static void test_generated(void) {
    size_t accepted = 0;
    size_t survived = 0;
    for (int i = 0; i < 20000; i++) {
        struct car_buf b = CAR_BUF_INIT;
        put_value(&b, rnd(6));
        accepted += verdict(b.data, b.len) == 1;
        for (int k = 0; k < 3 && b.len > 0; k++) {
            damage(&b);
            survived += verdict(b.data, b.len) == 1;
        }
        car_buf_free(&b);
    }
    CU_ASSERT_EQUAL(accepted, 20000);
    CU_ASSERT_TRUE(survived > 1000 && survived < 50000);
}

static const struct car_test TESTS[] = {{"generated and damaged", test_generated}};

int main(void) {
    return car_suite_main("json_random", TESTS, sizeof TESTS / sizeof *TESTS);
}
