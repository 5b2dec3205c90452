#include "carillon/base/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

/* The definition, written down without a state: RFC 3629, section 4. */
static bool is_char(uint32_t c) {
    return c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
}

/* As many bytes as `c` needs at least, or more where `len` asks for an overlong form. */
static size_t encode(uint32_t c, size_t len, unsigned char *out) {
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    if (len == 1) {
        out[0] = (unsigned char)c;
        return 1;
    }
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (unsigned char)(leads[len] | c);
    return len;
}

static size_t shortest(uint32_t c) {
    return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

static void test_every_code_point(void) {
    size_t wrong = 0;
    for (uint32_t c = 0; c < 0x200000; c++) {
        unsigned char text[4];
        size_t len = encode(c, shortest(c), text);
        wrong += car_utf8_valid(text, len) != is_char(c);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_overlong(void) {
    size_t accepted = 0;
    for (uint32_t c = 0; c < 0x10000; c++) {
        for (size_t len = shortest(c) + 1; len <= 4; len++) {
            unsigned char text[4];
            encode(c, len, text);
            accepted += car_utf8_valid(text, len);
        }
    }
    CU_ASSERT_EQUAL(accepted, 0);
}

/* All texts of two bytes: 128 * 128 of ASCII, and 30 leads with 64 continuations each. */
static void test_all_pairs(void) {
    size_t accepted = 0;
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        unsigned char text[2] = {(unsigned char)(pair >> 8), (unsigned char)pair};
        accepted += car_utf8_valid(text, 2);
    }
    CU_ASSERT_EQUAL(accepted, 128 * 128 + 30 * 64);
}

static void test_bad(void) {
    static const char *const bad[] = {
        "\x80",         "\xbf",         "\xc3",         "a\xc3(",           "\xe2\x82",
        "\xf0\x9f\x98", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xff",         "\xfe",         "\xc0\x80",     "\xe2(\xa1",        "0123456789abcdef\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_FALSE(car_utf8_valid(bad[i], strlen(bad[i])));
    }
    CU_ASSERT_TRUE(car_utf8_valid(NULL, 0));
    CU_ASSERT_TRUE(car_utf8_valid("\0", 1));
}

static const char MIXED[] = "plain ascii text, then \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and more \xed\x9f\xbf.";

static void test_in_pieces(void) {
    size_t len = sizeof MIXED - 1;
    for (size_t i = 0; i <= len; i++) {
        for (size_t j = i; j <= len; j++) {
            struct car_utf8 u = {0};
            CU_ASSERT_TRUE(car_utf8_feed(&u, MIXED, i));
            CU_ASSERT_TRUE(car_utf8_feed(&u, MIXED + i, j - i));
            CU_ASSERT_EQUAL(car_utf8_done(&u), car_utf8_valid(MIXED, j));
            CU_ASSERT_TRUE(car_utf8_feed(&u, MIXED + j, len - j));
            CU_ASSERT_TRUE(car_utf8_done(&u));
        }
    }
}

static void test_fails_at_once(void) {
    struct car_utf8 u = {0};
    CU_ASSERT_TRUE(car_utf8_feed(&u, "\xe0", 1));
    CU_ASSERT_FALSE(car_utf8_done(&u));
    CU_ASSERT_FALSE(car_utf8_feed(&u, "\x9f", 1)); /* overlong, known by its second byte */
    CU_ASSERT_FALSE(car_utf8_feed(&u, "a", 1));
    CU_ASSERT_FALSE(car_utf8_feed(&u, "", 0));
    CU_ASSERT_FALSE(car_utf8_done(&u));
}

static void test_count(void) {
    CU_ASSERT_EQUAL(car_utf8_count(NULL, 0), 0);
    CU_ASSERT_EQUAL(car_utf8_count("abc", 3), 3);
    CU_ASSERT_EQUAL(car_utf8_count("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9), 3);
    CU_ASSERT_EQUAL(car_utf8_count(MIXED, sizeof MIXED - 1), sizeof MIXED - 1 - 8);
    char euros[300];
    for (size_t i = 0; i < sizeof euros; i += 3) {
        memcpy(euros + i, "\xe2\x82\xac", 3);
        CU_ASSERT_EQUAL(car_utf8_count(euros, i + 3), i / 3 + 1);
    }
}

/* Every length, and a character of every length, or a byte that is none, in every place of it, each in memory of its
 * exact size. */
static void test_everywhere(void) {
    static const char *const pieces[] = {"", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x80", "\xff", "\xc0"};
    size_t wrong = 0;
    for (size_t around = 0; around <= 80; around++) {
        for (size_t at = 0; at <= around; at++) {
            for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
                size_t piece = strlen(pieces[k]);
                size_t len = around + piece;
                char *text = malloc(len > 0 ? len : 1);
                CU_ASSERT_PTR_NOT_NULL_FATAL(text);
                memset(text, 'x', len);
                memcpy(text + at, pieces[k], piece);
                wrong += car_utf8_valid(text, len) != (k < 4);
                wrong += k < 4 && car_utf8_count(text, len) != around + (k > 0);
                free(text);
            }
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static const struct car_test TESTS[] = {{"every code point", test_every_code_point},
                                        {"overlong forms", test_overlong},
                                        {"all pairs", test_all_pairs},
                                        {"what is not UTF-8", test_bad},
                                        {"in pieces", test_in_pieces},
                                        {"fails at once", test_fails_at_once},
                                        {"count", test_count},
                                        {"everywhere", test_everywhere}};

int main(void) {
    return car_suite_main("utf8", TESTS, sizeof TESTS / sizeof *TESTS);
}
