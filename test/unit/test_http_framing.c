#include "http_case.h"
#include "proto/http_head.h"
#include "suite.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* Where a message ends (RFC 9112, sections 6 and 7). */

static const struct http_trace_run PLAIN = {0};

#define HEAD          "POST /1 HTTP/1.1\r\nHost: h\r\n"
#define NEXT          "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
#define NEXT_IS       "GET /2 @h 1.1 keep {}\n~ idle\n"
#define LENGTH(value) HEAD "Content-Length:" value "\r\n\r\n"
#define CODING(value) HEAD "Transfer-Encoding:" value "\r\n\r\n"
#define CHUNKED       HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_IS    "POST /1 @h 1.1 keep Transfer-Encoding=chunked "

static void test_lengths(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("none", HEAD "\r\n" NEXT, "POST /1 @h 1.1 keep {}\n" NEXT_IS),
        HTTP_CASE("0", LENGTH(" 0") NEXT, "POST /1 @h 1.1 keep Content-Length=0 {}\n" NEXT_IS),
        HTTP_CASE("any bytes", LENGTH("5") "a\r\n\x01\xff" NEXT,
                  "POST /1 @h 1.1 keep Content-Length=5 {a\r\n\x01\xff}\n" NEXT_IS),
        HTTP_CASE("zeros in front", LENGTH(" 003 ") "abc" NEXT,
                  "POST /1 @h 1.1 keep Content-Length=003 {abc}\n" NEXT_IS),
        HTTP_CASE("a body for GET", "GET /1 HTTP/1.1\r\nHost: h\r\ncontent-length: 2\r\n\r\nab" NEXT,
                  "GET /1 @h 1.1 keep content-length=2 {ab}\n" NEXT_IS),
        HTTP_CASE("a sign", LENGTH(" +5") "abcde", "! 400"),
        HTTP_CASE("a minus", LENGTH(" -5") "abcde", "! 400"),
        HTTP_CASE("hexadecimal", LENGTH(" 0x5") "abcde", "! 400"),
        HTTP_CASE("hexadecimal digits", LENGTH(" a") "abcdeabcde", "! 400"),
        HTTP_CASE("blanks within", LENGTH(" 1 0") "abcdeabcde", "! 400"),
        HTTP_CASE("a fraction", LENGTH(" 5.0") "abcde", "! 400"),
        HTTP_CASE("an exponent", LENGTH(" 5e0") "abcde", "! 400"),
        HTTP_CASE("empty", LENGTH("") "abcde", "! 400"),
        HTTP_CASE("blank", LENGTH("  ") "abcde", "! 400"),
        HTTP_CASE("a list", LENGTH(" 5, 5") "abcde", "! 400"),
        HTTP_CASE("a list with an empty element", LENGTH(" 5,") "abcde", "! 400"),
        HTTP_CASE("quoted", LENGTH(" \"5\"") "abcde", "! 400"),
        HTTP_CASE("an underscore", LENGTH(" 1_0") "abcdeabcde", "! 400"),
        HTTP_CASE("digits of another script", LENGTH(" \xd9\xa5") "abcde", "! 400"),
        HTTP_CASE("2^63", LENGTH(" 9223372036854775808"), "! 400"),
        HTTP_CASE("2^64", LENGTH(" 18446744073709551616"), "! 400"),
        HTTP_CASE("2^64 + 5", LENGTH(" 18446744073709551621") "abcde", "! 400"),
        HTTP_CASE("2^63 - 1 is a number, but too large", LENGTH(" 9223372036854775807"), "! 413"),
        HTTP_CASE("twice, equal", HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", "! 400"),
        HTTP_CASE("twice, different", HEAD "Content-Length: 5\r\ncontent-length: 6\r\n\r\nabcdef", "! 400"),
        HTTP_CASE("with Transfer-Encoding", HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  "! 400"),
        HTTP_CASE("with Transfer-Encoding before it",
                  HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("0 with Transfer-Encoding", HEAD "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
                  "! 400"),
        HTTP_CASE("with an unknown coding", HEAD "Transfer-Encoding: x\r\nContent-Length: 1\r\n\r\n0", "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_codings(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("chunked", CODING("chunked") "0\r\n\r\n" NEXT,
                  "POST /1 @h 1.1 keep Transfer-Encoding=chunked {}\n" NEXT_IS),
        HTTP_CASE("any case, blanks around", CODING(" \tCHUnked ") "1\r\na\r\n0\r\n\r\n" NEXT,
                  "POST /1 @h 1.1 keep Transfer-Encoding=CHUnked {a}\n" NEXT_IS),
        HTTP_CASE("another before it", CODING(" gzip, chunked") "0\r\n\r\n", "! 501"),
        HTTP_CASE("another before it, two lines",
                  HEAD "Transfer-Encoding: gzip;q=1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! 501"),
        HTTP_CASE("identity before it", CODING(" identity, chunked") "0\r\n\r\n", "! 501"),
        HTTP_CASE("only another", CODING(" gzip"), "! 400"),
        HTTP_CASE("identity", CODING(" identity"), "! 400"),
        HTTP_CASE("not last", CODING(" chunked, gzip") "0\r\n\r\n", "! 400"),
        HTTP_CASE("not last, two lines",
                  HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("twice", CODING(" chunked, chunked") "0\r\n\r\n", "! 400"),
        HTTP_CASE("twice, two lines", HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  "! 400"),
        HTTP_CASE("empty", CODING("") "0\r\n\r\n", "! 400"),
        HTTP_CASE("an empty element", CODING(" chunked,") "0\r\n\r\n", "! 400"),
        HTTP_CASE("an empty element in front", CODING(" ,chunked") "0\r\n\r\n", "! 400"),
        HTTP_CASE("an empty line behind", HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n", "! 400"),
        HTTP_CASE("a parameter", CODING(" chunked;a=b") "0\r\n\r\n", "! 400"),
        HTTP_CASE("a semicolon", CODING(" chunked;") "0\r\n\r\n", "! 400"),
        HTTP_CASE("quoted", CODING(" \"chunked\"") "0\r\n\r\n", "! 400"),
        HTTP_CASE("a word in front", CODING(" x chunked") "0\r\n\r\n", "! 400"),
        HTTP_CASE("a prefix of it", CODING(" chunke") "0\r\n\r\n", "! 400"),
        HTTP_CASE("more than it", CODING(" chunkedx") "0\r\n\r\n", "! 400"),
        HTTP_CASE("a vertical tab",
                  CODING(" \x0b"
                         "chunked") "0\r\n\r\n",
                  "! 400"),
        HTTP_CASE("a no-break space",
                  CODING(" \xa0"
                         "chunked") "0\r\n\r\n",
                  "! 400"),
        HTTP_CASE("in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("another in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "! 400"),
        HTTP_CASE("with Upgrade, not last",
                  "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                  "Transfer-Encoding: gzip\r\n\r\n",
                  "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

#define LINES 2
#define HEADER(n, v)                                                                                                   \
    {                                                                                                                  \
        {(n), sizeof(n) - 1}, {                                                                                        \
            (v), sizeof(v) - 1                                                                                         \
        }                                                                                                              \
    }
#define CL(v) HEADER("Content-Length", v)
#define TE(v) HEADER("Transfer-Encoding", v)

/* The rules by themselves: llhttp refuses some of this before they are asked, but is not what they rest on. */
static void test_rules_alone(void) {
    static const struct {
        struct car_http_header headers[LINES];
        int status;
        enum http_framing framing;
    } rows[] = {
        {{CL("5"), HEADER("A", "b")}, 0, HTTP_LENGTH},
        {{CL("0"), HEADER("A", "b")}, 0, HTTP_NO_BODY},
        {{TE("chunked"), HEADER("A", "b")}, 0, HTTP_CHUNKED},
        {{CL("5"), CL("5")}, 400, HTTP_NO_BODY},
        {{CL("5"), CL("6")}, 400, HTTP_NO_BODY},
        {{CL("5"), TE("chunked")}, 400, HTTP_NO_BODY},
        {{TE("chunked"), CL("5")}, 400, HTTP_NO_BODY},
        {{CL("5, 5"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{CL("9223372036854775808"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{TE("chunked"), TE("chunked")}, 400, HTTP_NO_BODY},
        {{TE("chunked"), TE("gzip")}, 400, HTTP_NO_BODY},
        {{TE("chunked"), TE("")}, 400, HTTP_NO_BODY},
        {{TE("chunked, chunked"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{TE("chunked;a=b"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{TE("chunked;a=b, chunked"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{TE("chunked,"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{TE(",chunked"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{TE("gzip"), HEADER("A", "b")}, 400, HTTP_NO_BODY},
        {{TE("gzip"), TE("chunked")}, 501, HTTP_NO_BODY},
        {{TE("gzip;a=b,chunked"), HEADER("A", "b")}, 501, HTTP_NO_BODY},
    };
    static const struct car_http_limits limits = {.body_bytes = 100};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_head head = {.request = {.minor = 1, .headers = rows[i].headers, .header_count = LINES}};
        const char *why = NULL;
        CU_ASSERT_EQUAL(car_http_framing_read(&head, &limits, &why), rows[i].status);
        CU_ASSERT_EQUAL(why != NULL, rows[i].status != 0);
        CU_ASSERT_TRUE(rows[i].status != 0 || head.framing == rows[i].framing);
    }
}

static void test_chunks(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("several", CHUNKED "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n" NEXT,
                  CHUNKED_IS "{abc0123456789}\n" NEXT_IS),
        HTTP_CASE("lower case, zeros in front", CHUNKED "000000000000000a\r\n0123456789\r\n000\r\n\r\n" NEXT,
                  CHUNKED_IS "{0123456789}\n" NEXT_IS),
        HTTP_CASE("line ends as data", CHUNKED "4\r\n\r\n\r\n\r\n0\r\n\r\n" NEXT, CHUNKED_IS "{\r\n\r\n}\n" NEXT_IS),
        HTTP_CASE("not whole", CHUNKED "3\r\nabc\r\n0\r\n", "~ body\n"),
        HTTP_CASE("17 digits", CHUNKED "00000000000000001\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("2^64 and more", CHUNKED "10000000000000000\r\n", "! 400"),
        HTTP_CASE("2^64 - 1", CHUNKED "ffffffffffffffff\r\n", "! 413"),
        HTTP_CASE("a sum that would wrap", CHUNKED "1\r\na\r\nffffffffffffffff\r\n", "! 413"),
        HTTP_CASE("0x", CHUNKED "0x1\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a sign", CHUNKED "+1\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a minus", CHUNKED "-1\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a blank in front", CHUNKED " 1\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a blank behind", CHUNKED "1 \r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a tab behind", CHUNKED "1\t\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("an underscore", CHUNKED "1_0\r\n0123456789012345\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("no digit", CHUNKED "\r\n\r\n", "! 400"),
        HTTP_CASE("only an extension", CHUNKED ";a\r\n\r\n", "! 400"),
        HTTP_CASE("each body starts anew", CHUNKED "1;a\r\nb\r\n0\r\nC: d\r\n\r\n" CHUNKED "2\r\nef\r\n0\r\n\r\n" NEXT,
                  CHUNKED_IS "{b}\n" CHUNKED_IS "{ef}\n" NEXT_IS),
        HTTP_CASE("not a digit", CHUNKED "g\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a NUL", CHUNKED "1\0\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF behind the size", CHUNKED "1\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare CR behind the size", CHUNKED "1\ra\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("CR CR LF behind the size", CHUNKED "1\r\r\na\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF behind the data", CHUNKED "1\r\na\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare CR behind the data", CHUNKED "1\r\na\r0\r\n\r\n", "! 400"),
        HTTP_CASE("nothing behind the data", CHUNKED "1\r\na0\r\n\r\n", "! 400"),
        HTTP_CASE("more data than was said", CHUNKED "1\r\nab\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("any two bytes behind the data", CHUNKED "1\r\naXX0\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF at the end", CHUNKED "0\r\n\n", "! 400"),
        HTTP_CASE("bare LF behind the last size", CHUNKED "0\n\r\n", "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_extensions(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("names", CHUNKED "1;a;b\r\nx\r\n0;c\r\n\r\n" NEXT, CHUNKED_IS "{x}\n" NEXT_IS),
        HTTP_CASE("a quoted value without an end", CHUNKED "1;a=b;c=\"d;\\\"\\\\\r\n", "! 400"),
        HTTP_CASE("quoted", CHUNKED "1;a=b;c=\"d;\\\"\\\\ \t\xff=\";e=\"\"\r\nx\r\n0\r\n\r\n" NEXT,
                  CHUNKED_IS "{x}\n" NEXT_IS),
        HTTP_CASE("blanks where the grammar has them (RFC 9112, section 7.1.1)",
                  CHUNKED "1 \t; a = b ;c\t=\t\"d\" ;e\r\nx\r\n0\r\n\r\n" NEXT, CHUNKED_IS "{x}\n" NEXT_IS),
        HTTP_CASE("blanks at the end, behind a name", CHUNKED "1;a \r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("blanks at the end, behind a value", CHUNKED "1;a=b \r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("blanks at the end, behind a quoted value", CHUNKED "1;a=\"b\" \r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("no name", CHUNKED "1;\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("two semicolons", CHUNKED "1;;a\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("no value", CHUNKED "1;a=\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("no name, a value", CHUNKED "1;=a\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("two values", CHUNKED "1;a=b=c\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("two words", CHUNKED "1;a b\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a word behind a quoted value", CHUNKED "1;a=\"b\"c\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a word without a semicolon", CHUNKED "1 a\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF", CHUNKED "1;a\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare CR", CHUNKED "1;a\rx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF, quoted", CHUNKED "1;a=\"\n\"\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF, escaped", CHUNKED "1;a=\"\\\n\"\r\nx\r\n0\r\n\r\n", "! 400"),
        HTTP_CASE("a control character", CHUNKED "1;a=\x01\r\nx\r\n0\r\n\r\n", "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_trailers(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("dropped", CHUNKED "1\r\nx\r\n0\r\nX-Tenant-ID: b\r\nHost: evil\r\nContent-Length: 9\r\n\r\n" NEXT,
                  CHUNKED_IS "{x}\n" NEXT_IS),
        HTTP_CASE("folded", CHUNKED "0\r\nA: b\r\n c\r\n\r\n", "! 400"),
        HTTP_CASE("a space before the colon", CHUNKED "0\r\nA : b\r\n\r\n", "! 400"),
        HTTP_CASE("no colon", CHUNKED "0\r\nA\r\n\r\n", "! 400"),
        HTTP_CASE("no name", CHUNKED "0\r\n: b\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF", CHUNKED "0\r\nA: b\n\r\n", "! 400"),
        HTTP_CASE("bare CR", CHUNKED "0\r\nA: b\rc\r\n\r\n", "! 400"),
        HTTP_CASE("a NUL", CHUNKED "0\r\nA: \0\r\n\r\n", "! 400"),
        HTTP_CASE("the next request at once", CHUNKED "0\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_expectations(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("with a length", HEAD "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx" NEXT,
                  "POST /1 @h 1.1 keep expect Expect=100-Continue Content-Length=1 {x}\n" NEXT_IS),
        HTTP_CASE("with chunks", HEAD "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT,
                  "POST /1 @h 1.1 keep expect Expect=100-continue Transfer-Encoding=chunked {}\n" NEXT_IS),
        HTTP_CASE("without a body", HEAD "Expect: 100-continue\r\n\r\n" NEXT,
                  "POST /1 @h 1.1 keep Expect=100-continue {}\n" NEXT_IS),
        HTTP_CASE("of HTTP/1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
                  "POST / @ 1.0 Expect=100-continue Content-Length=1 {x}\n~ idle\n"),
        HTTP_CASE("another", HEAD "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx" NEXT,
                  "POST /1 @h 1.1 keep Expect=200-ok Content-Length=1 {x}\n" NEXT_IS),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static const struct car_test TESTS[] = {
    {"Content-Length", test_lengths}, {"the rules alone", test_rules_alone}, {"Transfer-Encoding", test_codings},
    {"chunks", test_chunks},          {"chunk extensions", test_extensions}, {"trailers", test_trailers},
    {"Expect", test_expectations},
};

int main(void) {
    return car_suite_main("http framing", TESTS, COUNT(TESTS));
}
