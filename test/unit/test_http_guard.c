#include "proto/http_guard.h"

#include <stdio.h>
#include <stdlib.h>

#include "suite.h"

/* Whole lines are passed over, others go byte by byte. Byte by byte nothing is ever a whole line, so that is what all
 * else is held against. */

static const struct car_http_limits LIMITS = {.header_bytes = 400, .header_count = 10};

#define HEAD                                                                                                           \
    "POST /api/v1/events?x=%20 HTTP/1.1\r\nHost: localhost:8080\r\nX-Tenant-ID:\tt0 \r\nContent-Length: 114\r\n"       \
    "Accept_~!: \xc3\xa9, */*\r\nE:\r\n\r\n"

struct outcome {
    struct http_guard guard;
    int result;
    const char *why;
    size_t taken;
    size_t skipped;
};

/* Feeds the first `cut` bytes in one piece (if there are any), the others one by one, each in memory of its own size.
 */
static struct outcome scan(const struct car_http_limits *limits, bool trailers, struct car_span in, size_t cut) {
    struct outcome o = {.result = HTTP_GUARD_MORE};
    (trailers ? car_http_guard_trailers : car_http_guard_request)(&o.guard);
    for (size_t at = 0; at < in.len && o.result == HTTP_GUARD_MORE;) {
        size_t len = at < cut ? cut - at : 1;
        char *piece = malloc(len);
        CU_ASSERT_PTR_NOT_NULL_FATAL(piece);
        memcpy(piece, in.ptr + at, len);
        size_t taken = 0;
        size_t skipped = 0;
        o.result = car_http_guard_scan(&o.guard, limits, car_span_of(piece, len), &skipped, &taken, &o.why);
        free(piece);
        o.skipped += skipped;
        o.taken += taken;
        at += len;
    }
    return o;
}

static bool agree(const struct outcome *a, const struct outcome *b) {
    if (a->result != b->result || a->why != b->why) {
        return false;
    }
    const struct http_guard *x = &a->guard;
    const struct http_guard *y = &b->guard;
    bool refused = a->result > HTTP_GUARD_WHOLE; /* nobody asks a guard that refused for more */
    return refused || (a->taken == b->taken && a->skipped == b->skipped && x->state == y->state &&
                       x->blank_lines == y->blank_lines && x->major == y->major && x->minor == y->minor &&
                       x->method_len == y->method_len && x->lines == y->lines && x->bytes == y->bytes);
}

/* Whether it makes no difference how the text arrives. */
static size_t differences(const struct car_http_limits *limits, bool trailers, struct car_span in, bool every_cut) {
    struct outcome wanted = scan(limits, trailers, in, 0);
    size_t wrong = 0;
    for (size_t cut = every_cut ? 1 : in.len; cut <= in.len; cut++) {
        struct outcome got = scan(limits, trailers, in, cut);
        wrong += !agree(&got, &wanted);
    }
    if (wrong > 0) {
        fprintf(stderr, "%zu cuts differ: %.*s\n", wrong, (int)in.len, in.ptr);
    }
    return wrong;
}

static void test_every_cut(void) {
    struct car_span head = CAR_SPAN(HEAD "GET /");
    struct outcome whole = scan(&LIMITS, false, head, head.len);
    CU_ASSERT_EQUAL(whole.result, HTTP_GUARD_WHOLE);
    CU_ASSERT_EQUAL(whole.taken, sizeof HEAD - 1);
    CU_ASSERT_EQUAL(whole.guard.lines, 5);
    CU_ASSERT_EQUAL(whole.guard.method_len, 4);
    CU_ASSERT_EQUAL(differences(&LIMITS, false, head, true), 0);
    CU_ASSERT_EQUAL(differences(&LIMITS, false, CAR_SPAN("\r\n\r\n" HEAD), true), 0);
    CU_ASSERT_EQUAL(differences(&LIMITS, true, CAR_SPAN("A: b\r\nCc:d\r\n\r\nrest"), true), 0);
    CU_ASSERT_EQUAL(differences(&LIMITS, true, CAR_SPAN("\r\n"), true), 0);
}

/* Every byte in every place, and every place without its byte. */
static void test_every_byte(void) {
    size_t wrong = 0;
    char text[] = HEAD;
    size_t len = sizeof text - 1;
    for (size_t at = 0; at < len; at++) {
        char kept = text[at];
        for (unsigned c = 0; c < 256; c++) {
            text[at] = (char)c;
            wrong += differences(&LIMITS, false, car_span_of(text, len), false);
        }
        text[at] = kept;
        char without[sizeof text];
        memcpy(without, text, at);
        memcpy(without + at, text + at + 1, len - at - 1);
        wrong += differences(&LIMITS, false, car_span_of(without, len - 1), false);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Every limit that the head is within or over. */
static void test_every_limit(void) {
    size_t wrong = 0;
    struct car_span head = CAR_SPAN(HEAD);
    for (size_t bytes = 1; bytes <= head.len + 1; bytes++) {
        struct car_http_limits limits = {.header_bytes = bytes, .header_count = 10};
        wrong += differences(&limits, false, head, true);
        wrong += scan(&limits, false, head, head.len).result != (bytes >= head.len                 ? HTTP_GUARD_WHOLE
                                                                 : bytes < strcspn(HEAD, "\n") + 1 ? 414
                                                                                                   : 431);
    }
    for (size_t count = 1; count <= 6; count++) {
        struct car_http_limits limits = {.header_bytes = 400, .header_count = count};
        wrong += differences(&limits, false, head, true);
        wrong += scan(&limits, false, head, head.len).result != (count >= 5 ? HTTP_GUARD_WHOLE : 431);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Names, values and targets of every length, with one character that belongs to few texts at every place. */
static void test_every_length(void) {
    size_t wrong = 0;
    static const char odd[] = "~/#%\t\x7f\xff:\r";
    for (size_t len = 1; len <= 40; len++) {
        for (size_t at = 0; at < len; at++) {
            for (size_t k = 0; k < sizeof odd; k++) {
                char word[41] = {0};
                char text[200];
                memset(word, 'a', len);
                word[at] = odd[k] ? odd[k] : 'b';
                int size = snprintf(text, sizeof text, "%s /%s HTTP/1.0\r\n%s:%s\r\n\r\n", k == 0 ? word : "GET",
                                    k < 5 ? word : "", k == 1 || k > 6 ? word : "n", word);
                wrong += differences(&LIMITS, false, car_span_of(text, (size_t)size), false);
            }
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static const struct car_test TESTS[] = {{"every cut", test_every_cut},
                                        {"every byte", test_every_byte},
                                        {"every limit", test_every_limit},
                                        {"every length", test_every_length}};

int main(void) {
    return car_suite_main("http_guard", TESTS, sizeof TESTS / sizeof *TESTS);
}
