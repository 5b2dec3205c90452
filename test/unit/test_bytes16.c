#include "carillon/base/bytes16.h"

#include <stdbool.h>
#include <stdlib.h>

#include "suite.h"

enum { LEN_MAX = 80, ALIGNMENTS = 16 };

static car_bytes16 quote(car_bytes16 b) {
    return car_bytes16_equal(b, '"');
}

static car_bytes16 digit(car_bytes16 b) {
    return car_bytes16_range(b, '0', '9');
}

static car_bytes16 control(car_bytes16 b) {
    return car_bytes16_range(b, 0x00, 0x1f);
}

static car_bytes16 above_ascii(car_bytes16 b) {
    return b;
}

static car_bytes16 not_printable(car_bytes16 b) {
    return car_bytes16_not_ascii_from(b, 0x20);
}

static car_bytes16 nothing(car_bytes16 b) {
    return b ^ b;
}

/* Every byte, in every place of a vector, against its definition. */
static void test_marks(void) {
    size_t wrong = 0;
    for (unsigned c = 0; c < 256; c++) {
        for (unsigned at = 0; at < 16; at++) {
            char text[16];
            memset(text, 'x', sizeof text);
            text[at] = (char)c;
            car_bytes16 b = car_bytes16_load(text);
            unsigned bit = 1U << at;
            wrong += car_bytes16_bits(quote(b)) != (c == '"' ? bit : 0);
            wrong += car_bytes16_bits(digit(b)) != (c >= '0' && c <= '9' ? bit : 0);
            wrong += car_bytes16_bits(control(b)) != (c < 0x20 ? bit : 0);
            wrong += car_bytes16_bits(above_ascii(b)) != (c >= 0x80 ? bit : 0);
            wrong += car_bytes16_bits(not_printable(b)) != (c < 0x20 || c >= 0x80 ? bit : 0);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Memory of exactly that length, at that distance from its start, so that a sanitizer sees a read beyond either end. */
static char *text_of(size_t len, size_t alignment, char **text) {
    char *memory = malloc(len + alignment + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    memory = realloc(memory, len + alignment > 0 ? len + alignment : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    *text = memory + alignment;
    memset(memory, 'x', len + alignment);
    return memory;
}

static void test_find(void) {
    size_t wrong = 0;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t alignment = 0; alignment < ALIGNMENTS; alignment++) {
            char *text;
            char *memory = text_of(len, alignment, &text);
            char *end = text + len;
            wrong += car_bytes16_find(text, end, quote) != end;
            for (size_t at = 0; at < len; at++) {
                text[at] = '"';
                wrong += car_bytes16_find(text, end, quote) != text + at;
                wrong += car_bytes16_find(text + at, end, quote) != text + at;
                wrong += car_bytes16_find(text + at + 1, end, quote) != end;
                text[len - 1] = '"'; /* the first of two */
                wrong += car_bytes16_find(text, end, quote) != text + at;
                memset(text, 'x', len);
            }
            /* The zeros behind a short rest are no part of the text. */
            wrong += car_bytes16_find(text, end, control) != end;
            wrong += car_bytes16_find(text, end, nothing) != end;
            free(memory);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_part(void) {
    size_t wrong = 0;
    for (size_t len = 0; len < 16; len++) {
        char *text;
        char *memory = text_of(len, 3, &text);
        char wanted[16] = {0};
        for (size_t i = 0; i < len; i++) {
            text[i] = wanted[i] = (char)(0xf1 + i);
        }
        char got[16];
        car_bytes16_store(got, car_bytes16_part(text, len));
        wrong += memcmp(got, wanted, sizeof got) != 0;
        free(memory);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static const struct car_test TESTS[] = {{"marks", test_marks}, {"find", test_find}, {"part", test_part}};

int main(void) {
    return car_suite_main("bytes16", TESTS, sizeof TESTS / sizeof *TESTS);
}
