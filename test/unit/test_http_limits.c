#include "http_case.h"
#include "suite.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static const struct http_trace_run PLAIN = {0};

static void put_many(struct car_buf *b, char c, size_t count) {
    for (size_t i = 0; i < count; i++) {
        car_buf_char(b, c);
    }
}

/* The parts in a row; "*N*" in `text` stands for N times the letter x. */
static struct car_buf expand(const char *text) {
    struct car_buf b = CAR_BUF_INIT;
    for (const char *at = text; *at != '\0';) {
        char *end = NULL;
        unsigned long count = *at == '*' ? strtoul(at + 1, &end, 10) : 0;
        if (count > 0 && *end == '*') {
            put_many(&b, 'x', count);
            at = end + 1;
        } else {
            car_buf_char(&b, *at++);
        }
    }
    return b;
}

static void check(const struct http_trace_run *run, const char *name, const char *input, const char *trace) {
    struct car_buf in = expand(input);
    struct car_buf out = expand(trace);
    car_buf_char(&out, '\0');
    http_case_check(run, &(struct http_case){name, car_buf_view(&in), out.data});
    car_buf_free(&in);
    car_buf_free(&out);
}

static void test_header_bytes(void) {
    static const struct car_http_limits limits = {.header_bytes = 100};
    const struct http_trace_run run = {.limits = &limits};
    /* "GET / HTTP/1.1\r\n" 16, "Host: h\r\n" 9, "A: …\r\n" 5 + n, "\r\n" 2: 32 + n. */
    check(&run, "exactly", "GET / HTTP/1.1\r\nHost: h\r\nA: *68*\r\n\r\n", "GET / @h 1.1 keep A=*68* {}\n~ idle\n");
    check(&run, "one more", "GET / HTTP/1.1\r\nHost: h\r\nA: *69*\r\n\r\n", "! 431");
    check(&run, "blank lines don't count", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nA: *68*\r\n\r\n",
          "GET / @h 1.1 keep A=*68* {}\n~ idle\n");
    check(&run, "a body does not count", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 200\r\n\r\n*200*",
          "PUT / @h 1.1 keep Content-Length=200 {*200*}\n~ idle\n");
    check(&run, "no end in sight", "GET / HTTP/1.1\r\nHost: h\r\nA: *68*", "~ headers\n");
    check(&run, "a name", "GET / HTTP/1.1\r\nHost: h\r\n*90*", "! 431");
    check(&run, "a target", "GET /*96* HTTP/1.1\r\n", "! 414");
    check(&run, "a version beyond", "GET /*87* HTTP/1.1\r\n", "! 414");
    check(&run, "a target that just fits", "GET /*84* HTTP/1.1\r\nHost: h\r\n\r\n", "! 431");
    check(&run, "counted anew for each request",
          "GET / HTTP/1.1\r\nHost: h\r\nA: *60*\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nA: *60*\r\n\r\n",
          "GET / @h 1.1 keep A=*60* {}\nGET / @h 1.1 keep A=*60* {}\n~ idle\n");
    check(&PLAIN, "the default, exactly", "GET / HTTP/1.1\r\nHost: h\r\nA: *16352*\r\n\r\n",
          "GET / @h 1.1 keep A=*16352* {}\n~ idle\n");
    check(&PLAIN, "the default, one more", "GET / HTTP/1.1\r\nHost: h\r\nA: *16353*\r\n\r\n", "! 431");
    check(&PLAIN, "the default for a target", "GET /*16380*", "! 414");
}

static void put_headers(struct car_buf *b, unsigned from, unsigned to, const char *format) {
    for (unsigned i = from; i <= to; i++) {
        car_buf_printf(b, "%s%u%s", format[0] == ' ' ? " H" : "H", i, format + 1);
    }
}

static void check_count(const char *name, unsigned headers, unsigned trailers, bool fine) {
    struct car_buf in = CAR_BUF_INIT;
    struct car_buf out = CAR_BUF_INIT;
    CAR_BUF_LIT(&in, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n");
    put_headers(&in, 3, headers, ".: v\r\n");
    CAR_BUF_LIT(&in, "\r\n0\r\n");
    put_headers(&in, 1, trailers, ".: v\r\n");
    CAR_BUF_LIT(&in, "\r\n");
    if (fine) {
        CAR_BUF_LIT(&out, "PUT / @h 1.1 keep Transfer-Encoding=chunked");
        put_headers(&out, 3, headers, " =v");
        CAR_BUF_LIT(&out, " {}\n~ idle\n");
    } else {
        CAR_BUF_LIT(&out, "! 431");
    }
    car_buf_char(&out, '\0');
    http_case_check(&PLAIN, &(struct http_case){name, car_buf_view(&in), out.data});
    car_buf_free(&in);
    car_buf_free(&out);
}

static void test_header_count(void) {
    check_count("16", 16, 0, true); /* around where the table grows */
    check_count("17", 17, 0, true);
    check_count("64", 64, 0, true);
    check_count("100", 100, 0, true);
    check_count("101", 101, 0, false);
    check_count("100 trailers", 100, 100, true);
    check_count("101 trailers", 3, 101, false);
    static const struct car_http_limits one = {.header_count = 1};
    const struct http_trace_run run = {.limits = &one};
    check(&run, "one", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / @h 1.1 keep {}\n~ idle\n");
    check(&run, "two", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n", "! 431");
}

static void test_trailer_bytes(void) {
    static const struct car_http_limits limits = {.header_bytes = 100};
    const struct http_trace_run run = {.limits = &limits};
    /* "A: …\r\n\r\n": 7 + n */
    check(&run, "exactly", "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: *93*\r\n\r\n",
          "PUT / @h 1.1 keep Transfer-Encoding=chunked {}\n~ idle\n");
    check(&run, "one more", "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: *94*\r\n\r\n",
          "! 431");
}

#define CHUNKED    "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_IS "PUT / @h 1.1 keep Transfer-Encoding=chunked "

static void test_body_bytes(void) {
    static const struct car_http_limits limits = {.body_bytes = 10};
    const struct http_trace_run run = {.limits = &limits};
    check(&run, "a length, exactly", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n*10*",
          "PUT / @h 1.1 keep Content-Length=10 {*10*}\n~ idle\n");
    check(&run, "a length, one more", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", "! 413");
    check(&run, "chunks, exactly", CHUNKED "5\r\n*5*\r\n5\r\n*5*\r\n0\r\n\r\n", CHUNKED_IS "{*10*}\n~ idle\n");
    check(&run, "chunks, one more", CHUNKED "5\r\n*5*\r\n6\r\n", "! 413");
    check(&run, "a chunk, one more", CHUNKED "b\r\n", "! 413");
    check(&PLAIN, "the default", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "! 413");
    check(&PLAIN, "the default, chunks", CHUNKED "100001\r\n", "! 413");
}

static void test_extension_bytes(void) {
    check(&PLAIN, "exactly", CHUNKED "1;*4095*\r\na\r\n0\r\n\r\n", CHUNKED_IS "{a}\n~ idle\n");
    check(&PLAIN, "one more", CHUNKED "1;*4096*\r\na\r\n0\r\n\r\n", "! 400");
    check(&PLAIN, "over all chunks", CHUNKED "1;*2000*\r\na\r\n1;*2000*\r\na\r\n0;*100*\r\n\r\n", "! 400");
}

static void test_refusals_of_the_caller(void) {
    const struct http_trace_run run = {.refuse = 401};
    check(&run, "no body", "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET", "! 401");
    check(&run, "before the body", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", "! 401");
    check(&run, "before 413", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n", "! 401");
    check(&run, "not for what is malformed", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "! 400");
}

struct seen {
    const char *from;
    size_t len;
    bool expect;
    bool borrowed;
    unsigned headers, requests;
};

static int see_headers(void *user, const struct car_http_request *req) {
    struct seen *seen = user;
    seen->headers++;
    seen->expect = req->expect_continue;
    return 0;
}

static bool is_within(const struct seen *seen, struct car_span s) {
    return (uintptr_t)s.ptr - (uintptr_t)seen->from < seen->len;
}

static bool see_request(void *user, const struct car_http_request *req) {
    struct seen *seen = user;
    seen->requests++;
    seen->borrowed = is_within(seen, req->body) && is_within(seen, req->path);
    return true;
}

static int feed_once(const char *input, size_t len, struct seen *seen, enum car_http_stage *stage) {
    static const struct car_http_callbacks callbacks = {.on_headers = see_headers, .on_request = see_request};
    size_t consumed = 0;
    const char *why = NULL;
    *seen = (struct seen){.from = input, .len = len};
    struct car_http_parser *parser = car_http_parser_new(NULL, &callbacks, seen);
    int status = car_http_parser_feed(parser, input, len, &consumed, &why);
    CU_ASSERT_EQUAL(consumed, len);
    CU_ASSERT_EQUAL(why != NULL, status != 0);
    *stage = car_http_parser_stage(parser);
    car_http_parser_free(&parser);
    CU_ASSERT_PTR_NULL(parser);
    car_http_parser_free(&parser);
    return status;
}

static void test_borrowing(void) {
    static const char length[] = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    static const char chunk[] = CHUNKED "3\r\nabc\r\n0\r\nA: b\r\n\r\n";
    static const char chunks[] = CHUNKED "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    struct seen seen;
    enum car_http_stage stage;
    CU_ASSERT_EQUAL(feed_once(length, sizeof length - 1, &seen, &stage), 0);
    CU_ASSERT_TRUE(seen.borrowed);
    CU_ASSERT_EQUAL(feed_once(chunk, sizeof chunk - 1, &seen, &stage), 0);
    CU_ASSERT_TRUE(seen.borrowed);
    CU_ASSERT_EQUAL(feed_once(chunks, sizeof chunks - 1, &seen, &stage), 0);
    CU_ASSERT_FALSE(seen.borrowed);
    CU_ASSERT_EQUAL(seen.requests, 1);
}

static void test_headers_come_first(void) {
    static const char small[] = "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    static const char large[] = "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n";
    struct seen seen;
    enum car_http_stage stage;
    CU_ASSERT_EQUAL(feed_once(small, sizeof small - 1, &seen, &stage), 0);
    CU_ASSERT_TRUE(seen.expect);
    CU_ASSERT_EQUAL(seen.headers, 1);
    CU_ASSERT_EQUAL(seen.requests, 0);
    CU_ASSERT_EQUAL(stage, CAR_HTTP_BODY);
    CU_ASSERT_EQUAL(feed_once(large, sizeof large - 1, &seen, &stage), 413);
    CU_ASSERT_FALSE(seen.expect);
    CU_ASSERT_EQUAL(seen.headers, 1);
    CU_ASSERT_EQUAL(seen.requests, 0);
    CU_ASSERT_EQUAL(stage, CAR_HTTP_IDLE);
}

/* Byte by byte, a megabyte in single-byte chunks (six bytes each) and one with a length: minutes only if quadratic. */
static void test_time_is_linear(void) {
    struct car_buf in = CAR_BUF_INIT;
    struct car_buf out = CAR_BUF_INIT;
    CAR_BUF_LIT(&in, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n");
    put_many(&in, 'x', 1048576);
    CAR_BUF_LIT(&in, CHUNKED);
    for (size_t i = 0; i < 1048576; i++) {
        CAR_BUF_LIT(&in, "1\r\nx\r\n");
    }
    CAR_BUF_LIT(&in, "0\r\n\r\n");
    clock_t start = clock();
    http_trace(&PLAIN, car_buf_view(&in), http_trace_bytes, NULL, &out);
    CU_ASSERT_TRUE(clock() - start < 60 * CLOCKS_PER_SEC);
    CU_ASSERT_EQUAL(out.len, sizeof "PUT / @h 1.1 keep Content-Length=1048576 {}\n" + 1048576 +
                                 sizeof CHUNKED_IS "{}\n~ idle\n" + 1048576 - 2);
    car_buf_free(&in);
    car_buf_free(&out);
}

/* Between messages a connection costs the parser's struct and no more, whatever it has read. (glibc keeps a few freed
 * blocks in its cache and counts them as used, hence the many parsers. Sanitizers count nothing, and pass.) */
static void test_idle_holds_nothing(void) {
    static const struct car_http_callbacks callbacks = {.on_headers = see_headers, .on_request = see_request};
    static struct car_http_parser *parsers[256];
    struct car_buf in = CAR_BUF_INIT;
    struct seen seen = {0};
    CAR_BUF_LIT(&in, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n");
    put_headers(&in, 3, 100, ".: v\r\n");
    CAR_BUF_LIT(&in, "\r\n");
    put_many(&in, 'x', 50000);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < COUNT(parsers); i++) {
        parsers[i] = car_http_parser_new(NULL, &callbacks, &seen);
        for (size_t at = 0; at < in.len; at += 1000) {
            size_t consumed = 0;
            const char *why = NULL;
            size_t piece = in.len - at < 1000 ? in.len - at : 1000;
            CU_ASSERT_EQUAL(car_http_parser_feed(parsers[i], in.data + at, piece, &consumed, &why), 0);
        }
        CU_ASSERT_EQUAL(car_http_parser_stage(parsers[i]), CAR_HTTP_IDLE);
    }
    CU_ASSERT_EQUAL(seen.requests, COUNT(parsers));
    CU_ASSERT_TRUE(mallinfo2().uordblks - before < COUNT(parsers) * 1024);
    for (size_t i = 0; i < COUNT(parsers); i++) {
        car_http_parser_free(&parsers[i]);
    }
    car_buf_free(&in);
}

static const struct car_test TESTS[] = {
    {"header bytes", test_header_bytes},
    {"header count", test_header_count},
    {"trailer bytes", test_trailer_bytes},
    {"body bytes", test_body_bytes},
    {"chunk extension bytes", test_extension_bytes},
    {"refusals by the caller", test_refusals_of_the_caller},
    {"a whole request is borrowed", test_borrowing},
    {"headers before the body", test_headers_come_first},
    {"idle holds nothing", test_idle_holds_nothing},
    {"linear time", test_time_is_linear},
};

int main(void) {
    return car_suite_main("http limits", TESTS, COUNT(TESTS));
}
