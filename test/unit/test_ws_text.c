#include "carillon/proto/ws.h"

#include <stdlib.h>

#include "support/suite.h"
#include "support/ws_client.h"

/* Text is UTF-8, and what is not is refused as soon as that can be known [Autobahn 6]. */

enum { TEXT = 1, BIN = 2, PING = 9 };
#define FIN WS_FIN

static const struct ws_server PLAIN = {0};

struct text {
    const char *name;
    struct car_span bytes;
    bool valid;
};

/* [6.5 to 6.23]: Markus Kuhn's stress test, as the testsuite has it, and each border of RFC 3629's grammar. */
static const struct text TEXTS[] = {
    {"greek [6.5]", {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 11}, true},
    {"first of 1 byte [6.6]", {"\x00", 1}, true},
    {"first of 2 bytes", {"\xc2\x80", 2}, true},
    {"first of 3 bytes", {"\xe0\xa0\x80", 3}, true},
    {"first of 4 bytes", {"\xf0\x90\x80\x80", 4}, true},
    {"5 bytes [6.8.1]", {"\xf8\x88\x80\x80\x80", 5}, false},
    {"6 bytes [6.8.2]", {"\xfc\x84\x80\x80\x80\x80", 6}, false},
    {"last of 1 byte [6.9]", {"\x7f", 1}, true},
    {"last of 2 bytes", {"\xdf\xbf", 2}, true},
    {"last of 3 bytes", {"\xef\xbf\xbf", 3}, true},
    {"last of 4 bytes", {"\xf4\x8f\xbf\xbf", 4}, true},
    {"last of 4 bytes in old UTF-8 [6.10]", {"\xf7\xbf\xbf\xbf", 4}, false},
    {"d7ff [6.11]", {"\xed\x9f\xbf", 3}, true},
    {"e000", {"\xee\x80\x80", 3}, true},
    {"fffd", {"\xef\xbf\xbd", 3}, true},
    {"110000", {"\xf4\x90\x80\x80", 4}, false},
    {"continuation alone [6.12]", {"\x80", 1}, false},
    {"last continuation alone", {"\xbf", 1}, false},
    {"8 continuations", {"\x80\xbf\x80\xbf\x80\xbf\x80\xbf", 8}, false},
    {"lead and a space [6.13]", {"\xc0 \xc1 \xc2 ", 6}, false},
    {"lead of 2 and a space", {"\xdf ", 2}, false},
    {"lead of 3 and a space", {"\xe1 ", 2}, false},
    {"lead of 4 and a space", {"\xf1 ", 2}, false},
    {"cut 2 [6.14]", {"\xdf", 1}, false},
    {"cut 3", {"\xef\xbf", 2}, false},
    {"cut 4", {"\xf1\xbf\xbf", 3}, false},
    {"fe [6.16]", {"\xfe", 1}, false},
    {"ff", {"\xff", 1}, false},
    {"overlong / of 2 [6.17]", {"\xc0\xaf", 2}, false},
    {"overlong / of 3", {"\xe0\x80\xaf", 3}, false},
    {"overlong / of 4", {"\xf0\x80\x80\xaf", 4}, false},
    {"overlong 7f [6.18]", {"\xc1\xbf", 2}, false},
    {"overlong 7ff", {"\xe0\x9f\xbf", 3}, false},
    {"overlong ffff", {"\xf0\x8f\xbf\xbf", 4}, false},
    {"overlong NUL [6.19]", {"\xc0\x80", 2}, false},
    {"surrogate d800 [6.20]", {"\xed\xa0\x80", 3}, false},
    {"surrogate dfff", {"\xed\xbf\xbf", 3}, false},
    {"surrogate pair [6.21]", {"\xed\xa0\x80\xed\xb0\x80", 6}, false},
    {"noncharacter fffe [6.22]", {"\xef\xbf\xbe", 3}, true},
    {"noncharacter 1ffff", {"\xf0\x9f\xbf\xbf", 4}, true},
    {"noncharacter 10fffe [6.23]", {"\xf4\x8f\xbf\xbe", 4}, true},
};
enum { TEXT_COUNT = sizeof TEXTS / sizeof *TEXTS };

/* Each text alone, between others, in fragments of each size, and as binary, where anything goes. */
static void texts(void) {
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const struct text *text = &TEXTS[i];
        struct car_buf around = CAR_BUF_INIT;
        CAR_BUF_LIT(&around, "0123456789abcdef");
        car_buf_span(&around, text->bytes);
        CAR_BUF_LIT(&around, "end");
        struct car_span forms[] = {text->bytes, car_buf_view(&around)};
        for (size_t form = 0; form < 2; form++) {
            char *want = text->valid ? ws_event_text("T", forms[form]) : strdup("!1007 ");
            char *want_binary = ws_event_text("B", forms[form]);
            for (size_t size = 1; size <= forms[form].len; size += 1 + size / 4) {
                struct car_buf wire = CAR_BUF_INIT;
                ws_client_fragments(&wire, TEXT, forms[form], size);
                ws_server_expect(text->name, &PLAIN, car_buf_view(&wire), want);
                wire.len = 0;
                ws_client_fragments(&wire, BIN, forms[form], size);
                ws_server_expect(text->name, &PLAIN, car_buf_view(&wire), want_binary);
                car_buf_free(&wire);
            }
            free(want);
            free(want_binary);
        }
        car_buf_free(&around);
    }
}

static void fragments(void) {
    static const struct {
        const char *name;
        struct ws_frame frames[6];
        const char *want;
    } ROWS[] = {
        {"empty [6.1.1]", {WS_F(FIN | TEXT, "")}, "T: "},
        {"three empty [6.1.2]", {WS_F(TEXT, ""), WS_F(0, ""), WS_F(FIN, "")}, "T: "},
        {"empty about [6.1.3]", {WS_F(TEXT, ""), WS_F(0, "mid"), WS_F(FIN, "")}, "T:mid "},
        {"within a character [6.2.3]",
         {WS_F(TEXT, "\xce"), WS_F(0, "\xba\xe1"), WS_F(FIN, "\xbd\xb9")},
         "T:\\ce\\ba\\e1\\bd\\b9 "},
        {"ping within a character",
         {WS_F(TEXT, "\xce"), WS_F(FIN | PING, "\xff"), WS_F(FIN, "\xba")},
         "I:\\ff T:\\ce\\ba "},
        {"invalid [6.3.1]", {WS_F(FIN | TEXT, "\xce\xba\xed\xa0\x80\x65")}, "!1007 "},
        {"invalid at the end", {WS_F(TEXT, "abc"), WS_F(FIN, "\xce")}, "!1007 "},
        {"empty end within a character", {WS_F(TEXT, "\xce"), WS_F(FIN, "")}, "!1007 "},
        {"second of three [6.4.1]", {WS_F(TEXT, "ok"), WS_F(0, "\xf4\x90"), WS_F(FIN, "x")}, "!1007 "},
        {"the next text starts anew", {WS_F(FIN | TEXT, "\xce\xba"), WS_F(FIN | TEXT, "\xba")}, "T:\\ce\\ba !1007 "},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        ws_server_expect_frames(ROWS[i].name, &PLAIN, ROWS[i].frames, ROWS[i].want);
    }
}

static void ignore_message(void *user, enum car_ws_opcode op, char *data, size_t len) {
    (void)user, (void)op, (void)data, (void)len;
    CU_FAIL("message");
}

static void ignore_control(void *user, const char *data, size_t len) {
    (void)user, (void)data, (void)len;
    CU_FAIL("control frame");
}

static void ignore_close(void *user, unsigned code, struct car_span reason) {
    (void)user, (void)code, (void)reason;
    CU_FAIL("close");
}

static const struct car_ws_callbacks IGNORE = {ignore_message, ignore_control, ignore_control, ignore_close};

/* [6.4.1 to 6.4.4]: the first bad byte fails the connection, though the frame that it came in is not whole. The
 * frame's length is announced as 1000, and never comes. */
static void fails_fast(void) {
    static const struct {
        struct car_span bytes;
        size_t bad_at; /* index of the byte that no continuation could mend */
    } ROWS[] = {
        {{"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80", 15}, 12},
        {{"ab\xff", 3}, 2},
        {{"ab\xe0\x9f", 4}, 3},
        {{"0123456789012345678901234567890123456789\xed\xa0", 42}, 41},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_buf wire = CAR_BUF_INIT;
        struct ws_frame frame = {
            .first = FIN | TEXT, .payload = ROWS[i].bytes.ptr, .len = ROWS[i].bytes.len, .claim = 1000};
        ws_client_frame(&wire, &frame);
        struct car_ws_parser parser;
        car_ws_parser_init(&parser, 4096, false);
        for (size_t at = 0; at < wire.len; at++) {
            size_t consumed = 0;
            const char *why = NULL;
            unsigned code = car_ws_parser_feed(&parser, wire.data + at, 1, NULL, &IGNORE, NULL, &consumed, &why);
            bool bad = at == 8 + ROWS[i].bad_at;
            CU_ASSERT_EQUAL(code, bad ? 1007 : 0);
            CU_ASSERT_EQUAL(consumed, 1);
            CU_ASSERT_EQUAL(why != NULL, bad);
        }
        CU_ASSERT_EQUAL(car_ws_parser_memory(&parser), 0);
        car_ws_parser_free(&parser);
        car_buf_free(&wire);
    }
}

static const struct car_test TESTS[] = {
    {"texts", texts},
    {"fragments", fragments},
    {"fails fast", fails_fast},
};

int main(void) {
    return car_suite_main("ws_text", TESTS, sizeof TESTS / sizeof *TESTS);
}
