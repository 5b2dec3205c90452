#include "http_case.h"
#include "suite.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static const struct http_trace_run PLAIN = {0};
static const struct http_trace_run STOPPING = {.stop = true};

static void test_sound_requests(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("the least", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("no input", "", "~ idle\n"),
        HTTP_CASE("a query", "GET /a/b?x=1&y=%20?z HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET /a/b?x=1&y=%20?z @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("an empty query", "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a? @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("the path is not decoded", "GET /%2e%2E//x%zz;p HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET /%2e%2E//x%zz;p @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("what browsers leave raw", "GET /?a={b}|\\^`\"<>[] HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET /?a={b}|\\^`\"<>[] @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("values are trimmed", "GET / HTTP/1.1\r\nHost: \t h \t\r\nA:b\r\nC:\r\nD: \t \r\nE: f g\t\r\n\r\n",
                  "GET / @h 1.1 keep A=b C= D= E=f g {}\n~ idle\n"),
        HTTP_CASE("bytes above ASCII and tabs in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: \xc3\xa9\t\xff\x80\r\n\r\n",
                  "GET / @h 1.1 keep A=\xc3\xa9\t\xff\x80 {}\n~ idle\n"),
        HTTP_CASE("odd names", "GET / HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~9: x\r\n\r\n",
                  "GET / @h 1.1 keep !#$%&'*+-.^_`|~9=x {}\n~ idle\n"),
        HTTP_CASE("names that begin as known ones do",
                  "GET / HTTP/1.1\r\nHost: h\r\nContent-Lengt: 5\r\nContent-LengthX: 6\r\nTransfer-Encodin: a\r\n"
                  "Connectio: close\r\nUpgrad: x\r\nHos: y\r\n\r\n",
                  "GET / @h 1.1 keep Content-Lengt=5 Content-LengthX=6 Transfer-Encodin=a Connectio=close Upgrad=x "
                  "Hos=y {}\n~ idle\n"),
        HTTP_CASE("repeated headers stay apart", "GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\na: 2\r\n\r\n",
                  "GET / @h 1.1 keep A=1 a=2 {}\n~ idle\n"),
        HTTP_CASE("blank lines before", "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET / @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("only blank lines", "\r\n\r\n", "~ idle\n"),
        HTTP_CASE("half a blank line", "\r", "~ idle\n"),
        HTTP_CASE("cut in the method", "G", "~ headers\n"),
        HTTP_CASE("cut before the end", "GET / HTTP/1.1\r\nHost: h\r\n\r", "~ headers\n"),
        HTTP_CASE("cut in the body", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab", "~ body\n"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_methods(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("a method of our own", "FROB /x HTTP/1.1\r\nHost: h\r\n\r\n", "FROB /x @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("lower case", "get /x HTTP/1.1\r\nHost: h\r\n\r\n", "get /x @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("every token character", "!#$%&'*+-.^_`|~0aZ / HTTP/1.1\r\nHost: h\r\n\r\n",
                  "!#$%&'*+-.^_`|~0aZ / @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("32 characters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.1\r\nHost: h\r\n\r\n",
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("33 characters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1\r\nHost: h\r\n\r\n", "! 501"),
        HTTP_CASE("PRI with HTTP/1.1", "PRI /x HTTP/1.1\r\nHost: h\r\n\r\n", "PRI /x @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("SOURCE", "SOURCE /x HTTP/1.1\r\nHost: h\r\n\r\n", "SOURCE /x @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("an unknown one with a body", "FROB /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET",
                  "FROB /x @h 1.1 keep Content-Length=2 {hi}\n~ headers\n"),
        HTTP_CASE("CONNECT", "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
                  "CONNECT  @example.org:443 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("CONNECT to an address", "CONNECT [::1]:443 HTTP/1.1\r\nHost: h\r\n\r\n",
                  "CONNECT  @[::1]:443 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("CONNECT with a body", "CONNECT a:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
                  "CONNECT  @a:1 1.1 keep Content-Length=1 {x}\n~ idle\n"),
        HTTP_CASE("CONNECT without a port", "CONNECT example.org HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("CONNECT with an empty port", "CONNECT example.org: HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("CONNECT with a URI", "CONNECT http://h:80/ HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_targets(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("absolute-form; its host counts", "GET http://a.example:81/p?q=1 HTTP/1.1\r\nHost: other\r\n\r\n",
                  "GET /p?q=1 @a.example:81 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("absolute-form, https, upper case", "GET HTTPS://A/ HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET / @A 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("absolute-form without a path", "GET http://a HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET / @a 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("absolute-form, a query and no path", "GET http://a?x HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET /?x @a 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("absolute-form, an address", "GET http://[2001:db8::1]:80/x HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET /x @[2001:db8::1]:80 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("absolute-form, HTTP/1.0 without Host", "GET http://a/x HTTP/1.0\r\n\r\n",
                  "GET /x @a 1.0 {}\n~ idle\n"),
        HTTP_CASE("absolute-form without a path, saved between feeds",
                  "PUT http://a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd",
                  "PUT / @a 1.1 keep Content-Length=4 {abcd}\n~ idle\n"),
        HTTP_CASE("asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("asterisk-form through a proxy", "OPTIONS http://a HTTP/1.1\r\nHost: h\r\n\r\n",
                  "OPTIONS * @a 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("OPTIONS with a query and no path", "OPTIONS http://a?x HTTP/1.1\r\nHost: h\r\n\r\n",
                  "OPTIONS /?x @a 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("OPTIONS of the root", "OPTIONS http://a/ HTTP/1.1\r\nHost: h\r\n\r\n",
                  "OPTIONS / @a 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("asterisk for another method", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("asterisk and more", "OPTIONS *a HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("authority-form without CONNECT", "GET a:80 HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a relative path", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("only a query", "GET ?a HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("no host", "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("only a port", "GET http://:80/x HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("userinfo", "GET http://u:p@a/x HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a bare scheme", "GET http:// HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("one slash", "GET http:/a HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a space", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a tab", "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a NUL", "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a DEL", "GET /a\x7f HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a byte above ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_request_lines(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("HTTP/0.9", "GET /\r\n", "! 400"),
        HTTP_CASE("only a method", "GET\r\n", "! 400"),
        HTTP_CASE("no target", "GET  HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("two spaces before the version", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a tab for a space", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a space behind the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("a space before the method", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("bare LF", "GET / HTTP/1.1\nHost: h\n\n", "! 400"),
        HTTP_CASE("bare CR", "GET / HTTP/1.1\rHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("bare CR in the target", "GET /\rx HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("CR CR LF", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("LF before the request", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("CR before the request", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("five blank lines before", "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("lower case", "GET / http/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("HTTPS/1.1", "GET / HTTPS/1.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("no minor version", "GET / HTTP/1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("HTTP/1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("HTTP/01.1", "GET / HTTP/01.1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("HTTP/1,1", "GET / HTTP/1,1\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("HTTP/1.x", "GET / HTTP/1.x\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("RTSP", "GET / RTSP/1.0\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "! 505"),
        HTTP_CASE("HTTP/0.9 in letters", "GET / HTTP/0.9\r\nHost: h\r\n\r\n", "! 505"),
        HTTP_CASE("HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "! 505"),
        HTTP_CASE("HTTP/3.0", "GET / HTTP/3.0\r\nHost: h\r\n\r\n", "! 505"),
        HTTP_CASE("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00", "! 400"),
        HTTP_CASE("a NUL", "\0", "! 400"),
        HTTP_CASE("a response", "HTTP/1.1 200 OK\r\n\r\n", "! 400"),
        HTTP_CASE("the second one is bad", "GET / HTTP/1.1\r\nHost: h\r\n\r\n?\r\n", "GET / @h 1.1 keep {}\n! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

#define WITH(lines) "GET / HTTP/1.1\r\nHost: h\r\n" lines "\r\n"

static void test_header_lines(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("a space before the colon", WITH("A : b\r\n"), "! 400"),
        HTTP_CASE("a tab before the colon", WITH("A\t: b\r\n"), "! 400"),
        HTTP_CASE("no name", WITH(": b\r\n"), "! 400"),
        HTTP_CASE("no colon", WITH("A\r\n"), "! 400"),
        HTTP_CASE("no token", WITH("A(b): c\r\n"), "! 400"),
        HTTP_CASE("a name above ASCII", WITH("\xc3\xa9: c\r\n"), "! 400"),
        HTTP_CASE("a NUL in a name", WITH("A\0B: c\r\n"), "! 400"),
        HTTP_CASE("folded with a space", WITH("A: b\r\n c\r\n"), "! 400 folded header line\n"),
        HTTP_CASE("folded with a tab", WITH("A: b\r\n\tc\r\n"), "! 400 folded header line\n"),
        HTTP_CASE("a blank before the first", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "! 400"),
        HTTP_CASE("bare CR in a value", WITH("A: b\rc\r\n"), "! 400"),
        HTTP_CASE("bare CR before a name", WITH("\rA: b\r\n"), "! 400"),
        HTTP_CASE("CR CR LF behind a value", WITH("A: b\r\r\n"), "! 400"),
        HTTP_CASE("bare LF in a value", WITH("A: b\nC: d\r\n"), "! 400"),
        HTTP_CASE("bare LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", "! 400"),
        HTTP_CASE("bare CR at the end", "GET / HTTP/1.1\r\nHost: h\r\n\rX", "! 400"),
        HTTP_CASE("a NUL in a value", WITH("A: b\0c\r\n"), "! 400"),
        HTTP_CASE("a backspace in a value", WITH("A: b\x08\r\n"), "! 400"),
        HTTP_CASE("a vertical tab before a value",
                  WITH("A:\x0b"
                       "b\r\n"),
                  "! 400"),
        HTTP_CASE("a form feed behind a value", WITH("A: b\x0c\r\n"), "! 400"),
        HTTP_CASE("a DEL in a value", WITH("A: b\x7f\r\n"), "! 400"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_control_characters(void) {
    char input[] = WITH("A: b?c\r\n");
    size_t at = (size_t)(strchr(input, '?') - input);
    for (int c = 0; c < 256; c++) {
        input[at] = (char)c;
        char trace[] = "GET / @h 1.1 keep A=b?c {}\n~ idle\n";
        *strchr(trace, '?') = (char)c;
        bool fine = c == '\t' || (c >= 0x20 && c != 0x7f);
        http_case_check(&PLAIN, &(struct http_case){.name = "a byte in a value",
                                                    .input = car_span_of(input, sizeof input - 1),
                                                    .trace = fine ? trace : "! 400"});
    }
}

static void test_hosts(void) {
    static const struct {
        const char *host;
        bool sound;
    } rows[] = {
        {"example.org", true},
        {"example.org:80", true},
        {"example.org:", true},
        {"EXAMPLE.org.", true},
        {"127.0.0.1:8080", true},
        {"[::1]", true},
        {"[::1]:8080", true},
        {"[::ffff:1.2.3.4]", true},
        {"a_b-c~d", true},
        {"a%41", true},
        {"h:65535", true},
        {"", false},
        {":80", false},
        {"a b", false},
        {"a:b", false},
        {"a:65536", false},
        {"a:99999999999", false},
        {"a:-1", false},
        {"a:+1", false},
        {"a:80:80", false},
        {"a/b", false},
        {"http://a", false},
        {"a?b", false},
        {"u@a", false},
        {"a%4", false},
        {"a%", false},
        {"a%zz", false},
        {"[::1", false},
        {"::1", false},
        {"[]", false},
        {"[::1]x", false},
        {"[::1]80", false},
        {"[fe80::1%25lo]", false},
        {"[1.2.3.4]", false},
        {"[:::::]", false},
        {"a\"b", false},
        {"a\\b", false},
        {"a<b", false},
        {"caf\xc3\xa9", false},
        {"a\tb", false},
        {"[::1]]", false},
        {"a[::1]", false},
        {"a, b", false},
        {"a#b", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct car_buf input = CAR_BUF_INIT;
        struct car_buf trace = CAR_BUF_INIT;
        car_buf_printf(&input, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);
        if (rows[i].sound) {
            car_buf_printf(&trace, "GET / @%s 1.1 keep {}\n~ idle\n", rows[i].host);
        } else {
            car_buf_printf(&trace, "! 400");
        }
        car_buf_char(&trace, '\0');
        http_case_check(&PLAIN, &(struct http_case){rows[i].host, car_buf_view(&input), trace.data});
        car_buf_free(&input);
        car_buf_free(&trace);
    }
    static const struct http_case cases[] = {
        HTTP_CASE("HTTP/1.1 without Host", "GET / HTTP/1.1\r\n\r\n", "! 400"),
        HTTP_CASE("absolute-form without Host", "GET http://a/ HTTP/1.1\r\n\r\n", "! 400"),
        HTTP_CASE("two", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "! 400"),
        HTTP_CASE("two, in HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\nhOST: h\r\n\r\n", "! 400"),
        HTTP_CASE("a bad one, in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", "! 400"),
        HTTP_CASE("none, in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET / @ 1.0 {}\n~ idle\n"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static void test_connections(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("close; what follows is thrown away",
                  "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n?\n",
                  "GET /1 @h 1.1 Connection=close {}\n~ idle\n"),
        HTTP_CASE("close in a list, in any case", WITH("Connection: a, CLOSE ,b\r\n"),
                  "GET / @h 1.1 Connection=a, CLOSE ,b {}\n~ idle\n"),
        HTTP_CASE("close in a second line", WITH("Connection: keep-alive\r\nConnection: close\r\n"),
                  "GET / @h 1.1 Connection=keep-alive Connection=close {}\n~ idle\n"),
        HTTP_CASE("close as part of a word", WITH("Connection: closed, not-close\r\n"),
                  "GET / @h 1.1 keep Connection=closed, not-close {}\n~ idle\n"),
        HTTP_CASE("HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", "GET / @ 1.0 {}\n~ idle\n"),
        HTTP_CASE("HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
                  "GET / @ 1.0 keep Connection=Keep-Alive {}\nGET /2 @ 1.0 {}\n~ idle\n"),
        HTTP_CASE("HTTP/1.0 with both", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
                  "GET / @ 1.0 Connection=keep-alive, close {}\n~ idle\n"),
        HTTP_CASE("pipelined",
                  "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPUT /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nxyz\r\n"
                  "PUT /3 HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
                  "GET /4 HTTP/1.1\r\nHost: d\r\n\r\n",
                  "GET /1 @a 1.1 keep {}\nPUT /2 @b 1.1 keep Content-Length=3 {xyz}\n"
                  "PUT /3 @c 1.1 keep Transfer-Encoding=chunked {abc}\nGET /4 @d 1.1 keep {}\n~ idle\n"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
    static const struct http_case stopped[] = {
        HTTP_CASE("stopped behind each",
                  "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPUT /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nxyz"
                  "PUT /3 HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\nG",
                  "GET /1 @a 1.1 keep {}\n+ 28\nPUT /2 @b 1.1 keep Content-Length=3 {xyz}\n+ 78\n"
                  "PUT /3 @c 1.1 keep Transfer-Encoding=chunked {c}\n+ 145\n~ headers\n"),
    };
    http_cases_check(&STOPPING, stopped, COUNT(stopped));
}

#define ASKS  "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define ASKED " Connection=keep-alive, Upgrade Upgrade=WebSocket"

static void test_upgrades(void) {
    static const struct http_case cases[] = {
        HTTP_CASE("stops by itself; a frame is left", WITH(ASKS) "\x81\x85",
                  "GET / @h 1.1 keep upgrade" ASKED " {}\n+ 80\n! 400"),
        HTTP_CASE("refused, and on with HTTP", WITH(ASKS) "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
                  "GET / @h 1.1 keep upgrade" ASKED " {}\n+ 80\nGET /2 @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("with close, refused: nothing follows", WITH(ASKS "Connection: close\r\n") "GET /2 HTTP/1.1\r\n\r\n",
                  "GET / @h 1.1 upgrade" ASKED " Connection=close {}\n+ 99\n~ idle\n"),
        HTTP_CASE("with a body", WITH(ASKS "Content-Length: 2\r\n") "hi\x81",
                  "GET / @h 1.1 keep upgrade" ASKED " Content-Length=2 {hi}\n+ 101\n! 400"),
        HTTP_CASE("with a chunked body", WITH(ASKS "Transfer-Encoding: chunked\r\n") "1\r\nx\r\n0\r\n\r\n\x81",
                  "GET / @h 1.1 keep upgrade" ASKED " Transfer-Encoding=chunked {x}\n+ 119\n! 400"),
        HTTP_CASE("one of several protocols", WITH("Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"),
                  "GET / @h 1.1 keep upgrade Connection=upgrade Upgrade=h2c, websocket {}\n+ 73\n~ idle\n"),
        HTTP_CASE(
            "another protocol", WITH("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n") WITH(""),
            "GET / @h 1.1 keep Connection=Upgrade, HTTP2-Settings Upgrade=h2c {}\nGET / @h 1.1 keep {}\n~ idle\n"),
        HTTP_CASE("not in Connection", WITH("Upgrade: websocket\r\n"),
                  "GET / @h 1.1 keep Upgrade=websocket {}\n~ idle\n"),
        HTTP_CASE("only in Connection", WITH("Connection: upgrade\r\n"),
                  "GET / @h 1.1 keep Connection=upgrade {}\n~ idle\n"),
        HTTP_CASE("of HTTP/1.0", "GET / HTTP/1.0\r\n" ASKS "\r\n", "GET / @ 1.0 keep" ASKED " {}\n~ idle\n"),
        HTTP_CASE("of another method", "POST / HTTP/1.1\r\nHost: h\r\n" ASKS "Content-Length: 1\r\n\r\nx" WITH(""),
                  "POST / @h 1.1 keep" ASKED " Content-Length=1 {x}\nGET / @h 1.1 keep {}\n~ idle\n"),
    };
    http_cases_check(&PLAIN, cases, COUNT(cases));
}

static const struct car_test TESTS[] = {
    {"sound requests", test_sound_requests},
    {"methods", test_methods},
    {"request targets", test_targets},
    {"malformed request lines", test_request_lines},
    {"malformed header lines", test_header_lines},
    {"every byte in a value", test_control_characters},
    {"Host", test_hosts},
    {"keep-alive, close and pipelining", test_connections},
    {"upgrade to WebSocket", test_upgrades},
};

int main(void) {
    return car_suite_main("http", TESTS, COUNT(TESTS));
}
