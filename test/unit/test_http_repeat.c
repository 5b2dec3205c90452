#include <stdio.h>
#include <stdlib.h>

#include "support/http_trace.h"
#include "support/suite.h"

/* A head that follows one like it in the same input is read by means of that one. Where the input is cut between the
 * two, it is read afresh: that must never make a difference. */

#define FIRST                                                                                                          \
    "POST /e?a=b HTTP/1.1\r\nHost: h:80\r\nX-Tenant-ID: t1\r\nAccept:\t*/* \r\nEmpty:\r\nContent-Length: 2\r\n\r\n"
#define BODY "hi"

/* Whether the second message comes out the same behind the first one with and without the cut, and where its last byte
 * comes later than its head. */
static bool same(const struct http_trace_run *run, struct car_span first, struct car_span second) {
    struct car_buf input = CAR_BUF_INIT;
    struct car_buf whole = CAR_BUF_INIT;
    struct car_buf cut = CAR_BUF_INIT;
    size_t border = first.len;
    car_buf_span(&input, first);
    car_buf_span(&input, second);
    http_trace(run, car_buf_view(&input), http_trace_whole, NULL, &whole);
    http_trace(run, car_buf_view(&input), http_trace_at, &border, &cut);
    bool good = car_span_eq(car_buf_view(&whole), car_buf_view(&cut));
    if (good && second.len > 1) {
        border = input.len - 1;
        whole.len = 0;
        http_trace(run, car_buf_view(&input), http_trace_at, &border, &whole);
        good = car_span_eq(car_buf_view(&whole), car_buf_view(&cut));
    }
    if (!good) {
        fprintf(stderr, "wanted:\n%.*s\ngot:\n%.*s\n", (int)cut.len, cut.data, (int)whole.len, whole.data);
    }
    car_buf_free(&input);
    car_buf_free(&whole);
    car_buf_free(&cut);
    return good;
}

static const struct http_trace_run PLAIN = {0};

static void expect(const char *input, const char *wanted) {
    struct car_buf got = CAR_BUF_INIT;
    http_trace(&PLAIN, car_span_cstr(input), http_trace_whole, NULL, &got);
    CU_ASSERT_TRUE(car_span_eq(car_buf_view(&got), car_span_cstr(wanted)));
    car_buf_free(&got);
}

static void test_values(void) {
    expect("POST /e HTTP/1.1\r\nHost: h\r\nX: a\r\nContent-Length: 2\r\n\r\nhi"
           "POST /e HTTP/1.1\r\nHost: h\r\nX: \t long er \r\nContent-Length: 11\r\n\r\nhello world"
           "POST /e HTTP/1.1\r\nHost: h\r\nX: b\r\nContent-Length: 1\r\n\r\n!",
           "POST /e @h 1.1 keep X=a Content-Length=2 {hi}\n"
           "POST /e @h 1.1 keep X=long er Content-Length=11 {hello world}\n"
           "POST /e @h 1.1 keep X=b Content-Length=1 {!}\n~ idle\n");
}

/* Every byte in every place, every place without its byte, and with another before it. */
static void test_every_byte(void) {
    static const char text[] = FIRST BODY FIRST BODY;
    size_t len = sizeof text - 1;
    struct car_span first = CAR_SPAN(FIRST BODY);
    size_t wrong = 0;
    for (size_t at = 0; at < len - first.len; at++) {
        char changed[sizeof text + 1];
        const char *rest = text + first.len;
        for (unsigned c = 0; c < 256; c++) {
            memcpy(changed, rest, len - first.len);
            changed[at] = (char)c;
            wrong += !same(&PLAIN, first, car_span_of(changed, len - first.len));
        }
        memmove(changed + at, rest + at + 1, len - first.len - at - 1);
        memcpy(changed, rest, at);
        wrong += !same(&PLAIN, first, car_span_of(changed, len - first.len - 1));
        memcpy(changed + at + 1, rest + at, len - first.len - at);
        for (const char *c = "0 a:,\r\n\t\xff"; *c; c++) {
            changed[at] = *c;
            wrong += !same(&PLAIN, first, car_span_of(changed, len - first.len + 1));
        }
        wrong += !same(&PLAIN, first, car_span_of(rest, at));
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Heads that have been met, in pairs: each before each. */
static void test_pairs(void) {
#define H "Host: h\r\n"
    static const char *const heads[] = {
        "GET / HTTP/1.1\r\n" H "\r\n",
        "GET / HTTP/1.1\r\n" H "A: b\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "A: c\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "A:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: i\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: /\r\nA: b\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alivf\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Connection: closf\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocks\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Proxy-Connection: close\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Proxy-Connection: clise\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\n" H "A: b\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n" H "A: b\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n" H "A: b\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\n" H "Content-Length: 02\r\n\r\nhi",
        "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Content-Length: 1 \r\n\r\nh",
        "POST / HTTP/1.1\r\n" H "Content-Length: 1,1\r\n\r\nh",
        "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\nh",
        "POST / HTTP/1.1\r\n" H "Content-Length: 99\r\n\r\nh",
        "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\nh",
        "POST / HTTP/1.1\r\n" H "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 9\r\n\r\nhi to all",
        "POST / HTTP/1.1\r\n" H "Expect: 100-continuf\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunkee\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\nT: v\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi",
    };
    static const struct car_http_limits small = {.header_bytes = 50, .header_count = 2, .body_bytes = 8};
    static const struct http_trace_run runs[] = {{0}, {.limits = &small}, {.stop = true}};
    size_t wrong = 0;
    size_t count = sizeof heads / sizeof *heads;
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < count; b++) {
            for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
                wrong += !same(&runs[k], car_span_cstr(heads[a]), car_span_cstr(heads[b]));
            }
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* The limit on a head holds for one that grows by its values alone. */
static void test_limit(void) {
    size_t wrong = 0;
    for (size_t limit = 1; limit < 200; limit++) {
        struct car_http_limits limits = {.header_bytes = limit};
        struct http_trace_run run = {.limits = &limits};
        wrong += !same(&run, CAR_SPAN("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"),
                       CAR_SPAN("GET / HTTP/1.1\r\nHost: h\r\nA: b and many other characters\r\n\r\n"));
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static const struct car_test TESTS[] = {
    {"values", test_values}, {"every byte", test_every_byte}, {"pairs", test_pairs}, {"limit", test_limit}};

int main(void) {
    return car_suite_main("http_repeat", TESTS, sizeof TESTS / sizeof *TESTS);
}
