#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/proto/json.h"
#include "json_oracle.h"
#include "suite.h"

/* What is JSON and what is not (RFC 8259), by hand-written cases in the manner of the well-known JSON test suite, and
 * by all texts over small alphabets, each held against jansson. */

struct text {
    const char *ptr;
    size_t len;
};

#define T(lit)                                                                                                         \
    { (lit), sizeof(lit) - 1 }

static const struct text GOOD[] = {
    /* structure */
    T("[]"),
    T("{}"),
    T(" [] "),
    T("\t\n\r []\r\n"),
    T("[[]   ]"),
    T("[1\n]"),
    T("[1,2]"),
    T("[null,1,\"1\",{}]"),
    T("{\"a\":[]}"),
    T("{\"\":0}"),
    T("{\"a\":\"b\",\"a\":\"c\"}"),
    T("{\"a\":\"b\",\"a\":\"b\"}"),
    T("{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
    T("{\"a\\u0000b\":42}"),
    T("{\"x\":[{\"id\":\"xx\"}],\"id\":\"x\"}"),
    T("{\n\"a\": \"b\"\n}"),
    T("true"),
    T("false"),
    T("null"),
    T(" true"),
    T("[true]"),
    T("[[[[[[]]]]]]"),
    T("[[],{},[[]],{\"a\":{}}]"),
    T("[\"\"]"),
    T("\"\""),
    T(" \"a\" "),
    /* numbers */
    T("0"),
    T("-0"),
    T("[-0]"),
    T("1"),
    T("-1"),
    T("42"),
    T("[0e1]"),
    T("[0e+1]"),
    T("[1E22]"),
    T("[1E-2]"),
    T("[1E+2]"),
    T("[123e45]"),
    T("[123.456e78]"),
    T("[1e-2]"),
    T("[1e+2]"),
    T("[123.456789]"),
    T("[20e1]"),
    T("[-123]"),
    T("[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]"),
    T("[ 4]"),
    T("[0.1]"),
    T("[0.5e-0]"),
    T("[100000000000000000000000000000000]"),
    T("1e0000000000000000001"),
    T("[123123e100000]"),
    T("[-1e+9999]"),
    T("[1.0000000000000000000000000000000000000000000001]"),
    /* strings */
    T("[\"\\u0060\\u012a\\u12AB\"]"),
    T("[\"\\uD801\\udc37\"]"),
    T("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    T("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    T("[\"\\\\u0000\"]"),
    T("[\"\\\"\"]"),
    T("[\"a/*b*/c/*d//e\"]"),
    T("[\"\\\\a\"]"),
    T("[\"\\u0000\"]"),
    T("[\"\\u0012\"]"),
    T("[\"\\uFFFF\"]"),
    T("[\"\\uDBFF\\uDFFF\"]"),
    T("[\"asd \"]"),
    T("\" \""),
    T("[\"\xf4\x8f\xbf\xbf\"]"),
    T("[\"\xef\xbf\xbf\"]"),
    T("[\"\xf0\x9b\xbf\xbf\"]"),
    T("[\"\\u0821\"]"),
    T("[\"\\u0123\"]"),
    T("[\"\xe2\x80\xa8\"]"),
    T("[\"\xe2\x80\xa9\"]"),
    T("[\"\x7f\"]"),
    T("[\"\\u005C\"]"),
    T("[\"\\uA66D\"]"),
    T("[\"\xe2\x8d\x82\xe3\x88\xb4\xe2\x8d\x82\"]"),
    T("[\"new\\u00A0line\"]"),
    T("[\"\\u200B\"]"),
    T("[\"\\u2064\"]"),
    T("[\"\\uFDD0\"]"),
    T("[\"\\uFFFE\"]"),
    T("[\"\xed\x9f\xbf\xee\x80\x80\"]"),
    T("[\"\xef\xbb\xbf\"]"),
    T("{\"\xd0\xbf\":\"\\u041F\"}"),
    T("[\"0123456\\n89abcdef0123456789\xc3\xa9\"]"),
};

static const struct text BAD[] = {
    /* structure */
    T(""),
    T(" "),
    T("\n\t"),
    T("["),
    T("]"),
    T("{"),
    T("}"),
    T("[[]"),
    T("[]]"),
    T("[}"),
    T("{]"),
    T("[,]"),
    T("[1,]"),
    T("[1,,2]"),
    T("[,1]"),
    T("[1 2]"),
    T("[\"a\" \"b\"]"),
    T("[1:2]"),
    T("[\"\":1]"),
    T("[1"),
    T("[1,"),
    T("[1,\n1\n,1"),
    T("[\"a"),
    T("[\"a\""),
    T("[{}"),
    T("[1]x"),
    T("[1],"),
    T("[1][2]"),
    T("{}{}"),
    T("1 2"),
    T("[]\x00"),
    T("\x00"),
    T("[\x00]"),
    T("[]\x0c"),
    T("\x0b[]"),
    T("[\x0b]"),
    T("[\xc2\xa0]"),
    T("[\xe2\x81\xa0]"),
    T("\xef\xbb\xbf"),
    T("\xef\xbb\xbf{}"),
    T("\xff\xfe[\x00]\x00"),
    T("\xfe\xff\x00[\x00]"),
    T("[*]"),
    T("<null>"),
    T("[<null>]"),
    T("/"),
    T("[1]//"),
    T("/**/1"),
    T("[/*c*/1]"),
    T("{\"a\":/*c*/1}"),
    T("{\"a\":1}#"),
    T("{,}"),
    T("{1:1}"),
    T("{a:1}"),
    T("{'a':1}"),
    T("{\"a\"}"),
    T("{\"a\":}"),
    T("{\"a\" 1}"),
    T("{\"a\"::1}"),
    T("{\"a\":1,}"),
    T("{\"a\":1,,\"b\":2}"),
    T("{\"a\":1 \"b\":2}"),
    T("{\"a\":1"),
    T("{\"a\":"),
    T("{\"a\""),
    T("{\"a"),
    T("{\"a\":1]"),
    T("[\"a\":1}"),
    T("{[]:1}"),
    T("{null:1}"),
    T("{\"a\":\"b\"}}"),
    T("{\"a\":\"b\",\"c\"}"),
    T("{\"a\",\"b\":1}"),
    T("{:1}"),
    T("[{]}"),
    T("[[}]"),
    T("{\"a\":[}"),
    T("{\"a\":{]}"),
    T("[[[[\"a\"]]],"),
    T(":"),
    T(","),
    T("[\\u0020]"),
    /* words */
    T("nul"),
    T("tru"),
    T("fals"),
    T("nulll"),
    T("truee"),
    T("True"),
    T("TRUE"),
    T("NULL"),
    T("[nul]"),
    T("[fals]"),
    T("[tru]"),
    T("[true,fals"),
    T("nan"),
    T("[NaN]"),
    T("[nan]"),
    T("[Infinity]"),
    T("[-Infinity]"),
    T("[+Inf]"),
    T("[Inf]"),
    T("[-nan]"),
    T("undefined"),
    T("a"),
    T("\xc3\xa9"),
    T("t"),
    T("n"),
    T("[t"),
    /* numbers */
    T("-"),
    T("+"),
    T("[-]"),
    T("[+1]"),
    T("[++1]"),
    T("[--1]"),
    T("[- 1]"),
    T("[-1.]"),
    T("[1.]"),
    T("[.5]"),
    T("[-.5]"),
    T("[.]"),
    T("[01]"),
    T("[-01]"),
    T("[-012]"),
    T("[00]"),
    T("[-00]"),
    T("[0.e1]"),
    T("[1.e1]"),
    T("[2.e-3]"),
    T("[0.1.2]"),
    T("[0e]"),
    T("[0e+]"),
    T("[1e]"),
    T("[1e+]"),
    T("[1e-]"),
    T("[1eE2]"),
    T("[1e1.5]"),
    T("[1E+-2]"),
    T("[0.3e]"),
    T("[0.3e+]"),
    T("[0E]"),
    T("[0x1]"),
    T("[0x42]"),
    T("[1 000.0]"),
    T("[1_000]"),
    T("[1a]"),
    T("[1+2]"),
    T("[1.2a-3]"),
    T("[-2.]"),
    T("[1e1"),
    T("[9.e+]"),
    T("[-a]"),
    T("[-1x]"),
    T("[\xef\xbc\x91]"),
    T("[1\x00]"),
    T("0b1"),
    T("1."),
    T("1e"),
    T("-"),
    T("[1.8011670033376514H-308]"),
    /* strings */
    T("\""),
    T("\"a"),
    T("[\"\\\"]"),
    T("[\"\\"),
    T("\"\\"),
    T("[\"\\x00\"]"),
    T("[\"\\a\"]"),
    T("[\"\\'\"]"),
    T("[\"\\\x00\"]"),
    T("[\"\\0\"]"),
    T("[\"\\u\"]"),
    T("[\"\\u00A\"]"),
    T("[\"\\u00"),
    T("[\"\\uqqqq\"]"),
    T("[\"\\u00G0\"]"),
    T("[\"\\u-001\"]"),
    T("[\"\\U0041\"]"),
    T("[\"\\u 041\"]"),
    T("[\"\\u+041\"]"),
    T("[\"\\\t\"]"),
    T("[\"\\\xf0\x9f\x8c\x80\"]"),
    T("[\"new\nline\"]"),
    T("[\"\t\"]"),
    T("[\"a\x00"
      "a\"]"),
    T("[\"\x1f\"]"),
    T("[\"\x01\"]"),
    T("['a']"),
    T("[\\n]"),
    T("[a\"]"),
    T("[\"\"x]"),
    T("[\xe9]"),
    T("\"\"x"),
    T("[\"\\ud800\"]"),
    T("[\"\\udc00\"]"),
    T("[\"\\uDFFF\"]"),
    T("[\"\\ud800\\n\"]"),
    T("[\"\\ud800abc\"]"),
    T("[\"\\ud800\\u0041\"]"),
    T("[\"\\ud800\\ud800\\udc00\"]"),
    T("[\"\\udc00\\ud800\"]"),
    T("[\"\\ud83d\\ude00\\ude00\"]"),
    T("[\"\\uD800\\u\"]"),
    T("[\"\\uD800\\u1\"]"),
    T("[\"\\uD800\\u1x\"]"),
    T("[\"\\uD800\\"),
    T("[\"\\ud800"),
    T("[\"\\ud800\\udc0"),
    T("{\"\\ud800\":1}"),
    T("[\"\xff\"]"),
    T("[\"\x80\"]"),
    T("[\"\xc3\"]"),
    T("[\"\xc0\xaf\"]"),
    T("[\"\xe0\x80\xaf\"]"),
    T("[\"\xf0\x80\x80\xaf\"]"),
    T("[\"\xed\xa0\x80\"]"),
    T("[\"\xed\xbf\xbf\"]"),
    T("[\"\xf4\x90\x80\x80\"]"),
    T("[\"\xf5\x80\x80\x80\"]"),
    T("[\"\xfc\x83\xbf\xbf\xbf\xbf\"]"),
    T("[\"\xe2\x82\"]"),
    T("[\"\xf0\x9f\x98\"]"),
    T("[\"\xe2\x82"),
    T("[\"\xc3("),
    T("{\"\xff\":1}"),
    T("[\"abcdefgh\xc3\"]"),
    T("[\"\xe6\x97\xa5\xd1\x88\xfa\"]"),
    T("[\"\xc3\xa9\x01\"]"),
    T("[\"\\u00\xc3\xa9\"]"),
    T("[\"abcdefg\x1fhijklmno\"]"),
};

/* The oracle's verdict, with anything that does not hold as a failure. */
static int verdict(const char *text, size_t len) {
    int result = json_oracle_check(text, len);
    CU_ASSERT_NOT_EQUAL(result, -1);
    return result;
}

static void test_good(void) {
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        CU_ASSERT_EQUAL(car_json_pick(car_span_of(GOOD[i].ptr, GOOD[i].len), NULL, 0, NULL), 0);
        if (verdict(GOOD[i].ptr, GOOD[i].len) != 1) {
            fprintf(stderr, "json: refused: %s\n", GOOD[i].ptr);
            CU_FAIL("JSON was refused");
        }
    }
}

static void test_bad(void) {
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        CU_ASSERT_EQUAL(car_json_pick(car_span_of(BAD[i].ptr, BAD[i].len), NULL, 0, NULL), CAR_EPROTO);
        if (verdict(BAD[i].ptr, BAD[i].len) != 0) {
            fprintf(stderr, "json: accepted: %s\n", BAD[i].ptr);
            CU_FAIL("what is no JSON was accepted");
        }
    }
}

/* Every text that one of the good ones is cut to: most are not JSON, none may be read beyond. */
static void test_cut(void) {
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        for (size_t len = 0; len < GOOD[i].len; len++) {
            verdict(GOOD[i].ptr, len);
        }
    }
}

/* All texts of up to `most` pieces, between `before` and `after`. Returns how many are JSON. */
static size_t try_all(const char *const *pieces, size_t count, size_t most, const char *before, const char *after) {
    size_t accepted = 0;
    for (size_t len = 0; len <= most; len++) {
        size_t total = 1;
        for (size_t i = 0; i < len; i++) {
            total *= count;
        }
        for (size_t number = 0; number < total; number++) {
            char text[128];
            char *end = stpcpy(text, before);
            for (size_t i = 0, rest = number; i < len; i++, rest /= count) {
                end = stpcpy(end, pieces[rest % count]);
            }
            end = stpcpy(end, after);
            accepted += verdict(text, (size_t)(end - text)) == 1;
        }
    }
    return accepted;
}

#define TRY_ALL(pieces, most, before, after) try_all(pieces, sizeof(pieces) / sizeof *(pieces), most, before, after)

static void test_all_numbers(void) {
    static const char *const pieces[] = {"0", "1", "-", "+", ".", "e"};
    CU_ASSERT_EQUAL(TRY_ALL(pieces, 6, "[", "]"), 649);
    CU_ASSERT_EQUAL(TRY_ALL(pieces, 4, "", ""), 72);
}

static void test_all_structures(void) {
    static const char *const pieces[] = {"[", "]", "{", "}", ",", ":", "\"a\"", "1", " "};
    CU_ASSERT_EQUAL(TRY_ALL(pieces, 5, "", ""), 146);
    static const char *const fewer[] = {"{", "}", ",", "\"a\":", "[]"};
    CU_ASSERT_EQUAL(TRY_ALL(fewer, 6, "{\"b\":", "}"), 8);
}

static void test_all_escapes(void) {
    static const char *const pieces[] = {"\\ud800", "\\uDFFF", "\\u0041", "\\", "\"", "u", "n", "<"};
    CU_ASSERT_EQUAL(TRY_ALL(pieces, 4, "\"", "\""), 789);
    size_t accepted = 0;
    for (unsigned unit = 0; unit < 0x10000; unit++) {
        char text[16];
        int len = snprintf(text, sizeof text, unit % 2 ? "\"\\u%04x\"" : "\"\\u%04X\"", unit);
        accepted += verdict(text, (size_t)len) == 1;
    }
    CU_ASSERT_EQUAL(accepted, 0x10000 - 0x800);
}

/* All pairs of bytes inside a string, where a word of eight bytes begins, ends, and goes over its end. */
static void test_all_bytes(void) {
    for (size_t at = 6; at <= 9; at++) {
        size_t accepted = 0;
        for (unsigned pair = 0; pair < 0x10000; pair++) {
            char text[] = "\"0123456789abcdefghi\"";
            text[at] = (char)(pair >> 8);
            text[at + 1] = (char)pair;
            accepted += verdict(text, sizeof text - 1) == 1;
        }
        /* ASCII but controls, quote and backslash: 94 of 256. Two-byte characters: 30 leads, 64 continuations. The
         * eight short escapes, and \u, which finds its four digits in the text that follows. */
        CU_ASSERT_EQUAL(accepted, 94 * 94 + 30 * 64 + 9);
    }
}

static const struct car_test TESTS[] = {{"what is JSON", test_good},
                                        {"what is not", test_bad},
                                        {"cut texts", test_cut},
                                        {"all numbers", test_all_numbers},
                                        {"all structures", test_all_structures},
                                        {"all escapes", test_all_escapes},
                                        {"all bytes", test_all_bytes}};

int main(void) {
    return car_suite_main("json_grammar", TESTS, sizeof TESTS / sizeof *TESTS);
}
