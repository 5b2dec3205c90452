#include "carillon/proto/ws.h"

#include <stdlib.h>

#include "support/suite.h"
#include "support/ws_client.h"

/* Frames: opcodes, reserved bits, fragments, control frames, closing. Names in brackets are the cases of the Autobahn
 * testsuite that a row stands for. */

enum { TEXT = 1, BIN = 2, CLOSE = 8, PING = 9, PONG = 10 };
#define FIN WS_FIN
#define X125                                                                                                           \
    "aaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbcccccccccccccccccccccccccdddddddddddddddddddddddddeeeeeeeeeee"  \
    "eeeeeeeeeeeeee"

struct row {
    const char *name;
    struct ws_frame frames[10];
    const char *want;
};

static const struct ws_server PLAIN = {0};

static void play_rows(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ws_server_expect_frames(rows[i].name, &PLAIN, rows[i].frames, rows[i].want);
    }
}
#define PLAY(rows) play_rows(rows, sizeof(rows) / sizeof *(rows))

static void messages(void) {
    static const struct row ROWS[] = {
        {"empty text [1.1.1]", {WS_F(FIN | TEXT, "")}, "T: "},
        {"empty binary [1.2.1]", {WS_F(FIN | BIN, "")}, "B: "},
        {"text", {WS_F(FIN | TEXT, "Hello")}, "T:Hello "},
        {"binary", {WS_F(FIN | BIN, "\xfe\x00\xff")}, "B:\\fe\\00\\ff "},
        {"several",
         {WS_F(FIN | TEXT, "a"), WS_F(FIN | BIN, "b"), WS_F(FIN | TEXT, ""), WS_F(FIN | TEXT, "c")},
         "T:a B:b T: T:c "},
        {"half a message", {WS_F(TEXT, "a")}, "..."},
    };
    PLAY(ROWS);
}

/* [1.1.1 to 1.2.8], and the sizes around where the forms of the length change. */
static void sizes(void) {
    static const size_t SIZES[] = {1, 2, 3, 7, 8, 9, 31, 32, 33, 65, 125, 126, 127, 128, 65534, 65535, 65536, 65537};
    char *payload = malloc(70000);
    if (!payload) {
        abort();
    }
    for (size_t i = 0; i < 70000; i++) {
        payload[i] = (char)('!' + i % 90);
    }
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        struct car_buf wire = CAR_BUF_INIT;
        struct car_span span = car_span_of(payload, SIZES[i]);
        char *text = ws_event_text("T", span);
        char *binary = ws_event_text("B", span);
        char want[256];
        snprintf(want, sizeof want, "%s%s", text, binary);
        ws_client_send(&wire, FIN | TEXT, span);
        ws_client_send(&wire, FIN | BIN, span);
        ws_server_expect("sizes", &PLAIN, car_buf_view(&wire), want);
        car_buf_free(&wire);
        free(text);
        free(binary);
    }
    free(payload);
}

static void pings(void) {
    static const struct row ROWS[] = {
        {"empty [2.1]", {WS_F(FIN | PING, "")}, "I: "},
        {"text [2.2]", {WS_F(FIN | PING, "Hello, world!")}, "I:Hello,\\20world! "},
        {"binary [2.3]", {WS_F(FIN | PING, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}, "I:\\00\\ff\\fe\\fd\\fc\\fb\\00\\ff "},
        {"125 bytes [2.4, 2.6]", {WS_F(FIN | PING, X125)}, "I:125#60cfc7a7 "},
        {"126 bytes [2.5]", {WS_F(FIN | PING, X125 "x")}, "!1002 "},
        {"pong [2.7, 2.8]", {WS_F(FIN | PONG, ""), WS_F(FIN | PONG, "unasked")}, "O: O:unasked "},
        {"pong, then ping [2.9]", {WS_F(FIN | PONG, "p"), WS_F(FIN | PING, "q")}, "O:p I:q "},
        {"several [2.10, 2.11]",
         {WS_F(FIN | PING, "1"), WS_F(FIN | PING, "2"), WS_F(FIN | PING, "3"), WS_F(FIN | PING, "4")},
         "I:1 I:2 I:3 I:4 "},
        {"half a ping", {{.used = true, .first = FIN | PING, .payload = "ab", .len = 2, .claim = 3}}, "..."},
        {"long pong", {WS_F(FIN | PONG, X125 "x")}, "!1002 "},
        {"long close", {WS_F(FIN | CLOSE, "\x03\xe8" X125)}, "!1002 "},
        {"126 bytes of ping by a 2-byte length",
         {{.used = true, .first = FIN | PING, .payload = "hi", .len = 2, .len_len = 2}},
         "!1002 "},
    };
    PLAY(ROWS);
}

static void reserved(void) {
    static const struct row ROWS[] = {
        {"RSV3 [3.1]", {WS_F(FIN | WS_RSV3 | TEXT, "a")}, "!1002 "},
        {"RSV2 [3.2]", {WS_F(FIN | TEXT, "a"), WS_F(FIN | WS_RSV2 | TEXT, "b"), WS_F(FIN | PING, "")}, "T:a !1002 "},
        {"RSV2 and 3 [3.3]", {WS_F(FIN | TEXT, "a"), WS_F(FIN | WS_RSV2 | WS_RSV3 | TEXT, "b")}, "T:a !1002 "},
        {"RSV1 [3.4]", {WS_F(FIN | WS_RSV1 | TEXT, "a")}, "!1002 "},
        {"RSV1 and 3 [3.5]", {WS_F(FIN | WS_RSV1 | WS_RSV3 | BIN, "a")}, "!1002 "},
        {"RSV1 and 2 on ping [3.6]", {WS_F(FIN | WS_RSV1 | WS_RSV2 | PING, "a")}, "!1002 "},
        {"all on close [3.7]", {WS_F(FIN | WS_RSV1 | WS_RSV2 | WS_RSV3 | CLOSE, "")}, "!1002 "},
        {"opcode 3 [4.1.1]", {WS_F(FIN | 3, "")}, "!1002 "},
        {"opcode 4 [4.1.2]", {WS_F(FIN | 4, "payload")}, "!1002 "},
        {"opcode 5 [4.1.3]", {WS_F(FIN | TEXT, "a"), WS_F(FIN | 5, ""), WS_F(FIN | PING, "")}, "T:a !1002 "},
        {"opcode 6 [4.1.4]", {WS_F(FIN | TEXT, "a"), WS_F(FIN | 6, "x"), WS_F(FIN | PING, "")}, "T:a !1002 "},
        {"opcode 7 [4.1.5]", {WS_F(FIN | TEXT, "a"), WS_F(7, "x")}, "T:a !1002 "},
        {"opcode 11 [4.2.1]", {WS_F(FIN | 11, "")}, "!1002 "},
        {"opcode 12 [4.2.2]", {WS_F(FIN | 12, "x")}, "!1002 "},
        {"opcode 13 [4.2.3]", {WS_F(FIN | TEXT, "a"), WS_F(FIN | 13, ""), WS_F(FIN | PING, "")}, "T:a !1002 "},
        {"opcode 14 [4.2.4]", {WS_F(FIN | TEXT, "a"), WS_F(FIN | 14, "x")}, "T:a !1002 "},
        {"opcode 15 [4.2.5]", {WS_F(FIN | TEXT, "a"), WS_F(FIN | 15, "x")}, "T:a !1002 "},
        {"opcode 3 within a message", {WS_F(TEXT, "a"), WS_F(FIN | 3, "")}, "!1002 "},
        {"no mask", {{.used = true, .first = FIN | TEXT, .payload = "a", .len = 1, .unmasked = true}}, "!1002 "},
        {"no mask on close", {{.used = true, .first = FIN | CLOSE, .payload = "", .unmasked = true}}, "!1002 "},
    };
    PLAY(ROWS);
}

static void lengths(void) {
    static const struct row ROWS[] = {
        {"2 bytes for 0", {{.used = true, .first = FIN | TEXT, .payload = "", .len_len = 2}}, "!1002 "},
        {"2 bytes for 125", {{.used = true, .first = FIN | TEXT, .payload = X125, .len = 125, .len_len = 2}}, "!1002 "},
        {"8 bytes for 125", {{.used = true, .first = FIN | TEXT, .payload = X125, .len = 125, .len_len = 8}}, "!1002 "},
        {"8 bytes for 65535",
         {{.used = true, .first = FIN | TEXT, .payload = "", .claim = 65535, .len_len = 8}},
         "!1002 "},
        {"64 bits", {{.used = true, .first = FIN | TEXT, .payload = "", .claim = UINT64_C(1) << 63}}, "!1002 "},
        {"all bits", {{.used = true, .first = FIN | TEXT, .payload = "", .claim = UINT64_MAX}}, "!1002 "},
        {"63 bits", {{.used = true, .first = FIN | BIN, .payload = "", .claim = INT64_MAX}}, "!1009 "},
        {"63 bits after a fragment",
         {WS_F(BIN, "abc"), {.used = true, .first = FIN, .payload = "", .claim = INT64_MAX}},
         "!1009 "},
    };
    PLAY(ROWS);
}

static void fragments(void) {
    static const struct row ROWS[] = {
        {"ping in two [5.1]", {WS_F(PING, "a"), WS_F(FIN, "b")}, "!1002 "},
        {"pong in two [5.2]", {WS_F(PONG, "a"), WS_F(FIN, "b")}, "!1002 "},
        {"close in two", {WS_F(CLOSE, ""), WS_F(FIN, "")}, "!1002 "},
        {"two [5.3 to 5.5]", {WS_F(TEXT, "frag1"), WS_F(FIN, "frag2")}, "T:frag1frag2 "},
        {"ping between [5.6 to 5.8]", {WS_F(TEXT, "f1"), WS_F(FIN | PING, "p"), WS_F(FIN, "f2")}, "I:p T:f1f2 "},
        {"continuation of nothing [5.9]", {WS_F(FIN, "x"), WS_F(FIN | TEXT, "y")}, "!1002 "},
        {"after a message [5.10, 5.11]", {WS_F(FIN | TEXT, "y"), WS_F(FIN, "x")}, "T:y !1002 "},
        {"open continuation of nothing [5.12 to 5.14]", {WS_F(0, "x"), WS_F(FIN | TEXT, "y")}, "!1002 "},
        {"after a fragmented message [5.15]",
         {WS_F(TEXT, "a"), WS_F(FIN, "b"), WS_F(0, "c"), WS_F(FIN | TEXT, "d")},
         "T:ab !1002 "},
        {"text after false start [5.16]", {WS_F(0, "a"), WS_F(TEXT, "b"), WS_F(FIN, "c")}, "!1002 "},
        {"the same, ended [5.17]", {WS_F(FIN, "a"), WS_F(TEXT, "b"), WS_F(FIN, "c")}, "!1002 "},
        {"text within text [5.18]", {WS_F(TEXT, "a"), WS_F(FIN | TEXT, "b")}, "!1002 "},
        {"binary within text", {WS_F(TEXT, "a"), WS_F(BIN, "b")}, "!1002 "},
        {"pings between five [5.19, 5.20]",
         {WS_F(TEXT, "f1"), WS_F(0, "f2"), WS_F(FIN | PING, "p1"), WS_F(0, "f3"), WS_F(0, "f4"), WS_F(FIN | PING, "p2"),
          WS_F(FIN, "f5")},
         "I:p1 I:p2 T:f1f2f3f4f5 "},
        {"empty parts", {WS_F(BIN, ""), WS_F(0, ""), WS_F(FIN | PONG, ""), WS_F(FIN, "")}, "O: B: "},
        {"empty ends", {WS_F(BIN, "ab"), WS_F(0, ""), WS_F(0, "c"), WS_F(FIN, "")}, "B:abc "},
        {"empty start", {WS_F(BIN, ""), WS_F(FIN, "ab")}, "B:ab "},
        {"close within a message", {WS_F(TEXT, "a"), WS_F(FIN | CLOSE, "\x03\xe9"), WS_F(FIN, "b")}, "C1001: "},
        {"long ping within a message",
         {WS_F(TEXT, "a"), WS_F(FIN | PING, X125), WS_F(FIN, "b")},
         "I:125#60cfc7a7 T:ab "},
    };
    PLAY(ROWS);
}

static void closing(void) {
    static const struct row ROWS[] = {
        {"nothing after close [7.1.3 to 7.1.5]",
         {WS_F(FIN | CLOSE, "\x03\xe8"), WS_F(FIN | TEXT, "x"), WS_F(FIN | PING, ""), WS_F(FIN | 3, "")},
         "C1000: "},
        {"close twice [7.1.2]", {WS_F(FIN | CLOSE, ""), WS_F(FIN | CLOSE, "\x03\xe8")}, "C1005: "},
        {"no payload [7.3.1]", {WS_F(FIN | CLOSE, "")}, "C1005: "},
        {"half a code [7.3.2]", {WS_F(FIN | CLOSE, "\x03")}, "!1002 "},
        {"a code [7.3.3]", {WS_F(FIN | CLOSE, "\x03\xe8")}, "C1000: "},
        {"a reason [7.3.4]", {WS_F(FIN | CLOSE, "\x03\xe8Hello")}, "C1000:Hello "},
        {"an empty message first",
         {WS_F(FIN | TEXT, ""), WS_F(FIN | CLOSE, "\x03\xe8gr\xc3\xbc\xc3\x9f")},
         "T: C1000:gr\\c3\\bc\\c3\\9f "},
        {"reason not UTF-8 [7.5.1]", {WS_F(FIN | CLOSE, "\x03\xe8\xce\xba\xed\xa0\x80")}, "!1007 "},
        {"reason cut off", {WS_F(FIN | CLOSE, "\x03\xe8\xce")}, "!1007 "},
        {"bad code and bad reason", {WS_F(FIN | CLOSE, "\x03\xed\xff")}, "!1002 "},
    };
    PLAY(ROWS);
    /* [7.3.5]: the longest reason. */
    struct car_buf wire = CAR_BUF_INIT;
    struct car_buf payload = CAR_BUF_INIT;
    CAR_BUF_LIT(&payload, "\x03\xe8");
    car_buf_put(&payload, X125, 123);
    ws_client_send(&wire, FIN | CLOSE, car_buf_view(&payload));
    char *want = ws_event_text("C1000", car_span_of(X125, 123));
    ws_server_expect("reason of 123 bytes", &PLAIN, car_buf_view(&wire), want);
    free(want);
    car_buf_free(&wire);
    car_buf_free(&payload);
}

/* [7.7.* and 7.9.*, 7.13.*]: each code there is, against the registry as it stands. */
static void close_codes(void) {
    for (unsigned code = 0; code <= 0xffff; code++) {
        bool valid = code == 1000 || code == 1001 || code == 1002 || code == 1003 || code == 1007 || code == 1008 ||
                     code == 1009 || code == 1010 || code == 1011 || code == 1012 || code == 1013 || code == 1014 ||
                     (code >= 3000 && code < 5000);
        if (car_ws_close_code_valid(code) != valid) {
            CU_FAIL("car_ws_close_code_valid");
        }
        if (code > 6000 && code < 65000) {
            continue;
        }
        struct car_buf wire = CAR_BUF_INIT;
        char payload[2] = {(char)(code >> 8), (char)(code & 0xff)};
        ws_client_send(&wire, FIN | CLOSE, car_span_of(payload, 2));
        char want[32];
        snprintf(want, sizeof want, valid ? "C%u: " : "!1002 ", code);
        char *got = ws_server_play(&PLAIN, car_buf_view(&wire), 100, 0);
        if (strcmp(got, want) != 0) {
            CU_FAIL("close code");
            printf("close code %u: want %s, got %s\n", code, want, got);
        }
        free(got);
        car_buf_free(&wire);
    }
}

static void headers(void) {
    static const struct {
        enum car_ws_opcode op;
        bool fin, rsv1;
        uint64_t len;
        const char *want;
        size_t want_len;
    } ROWS[] = {
        {CAR_WS_TEXT, true, false, 0, "\x81\x00", 2},
        {CAR_WS_TEXT, true, true, 125, "\xc1\x7d", 2},
        {CAR_WS_BINARY, false, false, 126, "\x02\x7e\x00\x7e", 4},
        {CAR_WS_CONTINUATION, true, false, 65535, "\x80\x7e\xff\xff", 4},
        {CAR_WS_CONTINUATION, false, false, 65536, "\x00\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10},
        {CAR_WS_PONG, true, false, 5, "\x8a\x05", 2},
        {CAR_WS_BINARY, true, false, INT64_MAX, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char out[CAR_WS_HEADER_MAX];
        size_t len = car_ws_header_write(out, ROWS[i].op, ROWS[i].fin, ROWS[i].rsv1, ROWS[i].len);
        CU_ASSERT_EQUAL(len, ROWS[i].want_len);
        CU_ASSERT_EQUAL(car_ws_header_len(ROWS[i].len), ROWS[i].want_len);
        CU_ASSERT_EQUAL(memcmp(out, ROWS[i].want, ROWS[i].want_len), 0);
    }
}

static void close_frames(void) {
    char out[CAR_WS_CLOSE_MAX];
    CU_ASSERT_EQUAL(car_ws_close_write(out, CAR_WS_NO_STATUS, CAR_SPAN("ignored")), 2);
    CU_ASSERT_EQUAL(memcmp(out, "\x88\x00", 2), 0);
    CU_ASSERT_EQUAL(car_ws_close_write(out, 1000, (struct car_span){0}), 4);
    CU_ASSERT_EQUAL(memcmp(out, "\x88\x02\x03\xe8", 4), 0);
    CU_ASSERT_EQUAL(car_ws_close_write(out, 4999, CAR_SPAN("bye")), 7);
    CU_ASSERT_EQUAL(memcmp(out,
                           "\x88\x05\x13\x87"
                           "bye",
                           7),
                    0);
    CU_ASSERT_EQUAL(car_ws_close_write(out, 1001, car_span_of(X125, 123)), 127);
    CU_ASSERT_EQUAL(memcmp(out, "\x88\x7d\x03\xe9", 4), 0);
    CU_ASSERT_EQUAL(memcmp(out + 4, X125, 123), 0);
    /* The cut falls after the second byte of a character of three, which goes as a whole. */
    struct car_buf reason = CAR_BUF_INIT;
    car_buf_put(&reason, X125, 121);
    CAR_BUF_LIT(&reason, "\xe2\x82\xac.");
    CU_ASSERT_EQUAL(car_ws_close_write(out, 1001, car_buf_view(&reason)), 4 + 121);
    CU_ASSERT_EQUAL(out[1], 123);
    car_buf_free(&reason);
}

static const struct car_test TESTS[] = {
    {"messages", messages}, {"sizes", sizes},
    {"pings", pings},       {"reserved", reserved},
    {"lengths", lengths},   {"fragments", fragments},
    {"closing", closing},   {"close codes", close_codes},
    {"headers", headers},   {"close frames", close_frames},
};

int main(void) {
    return car_suite_main("ws", TESTS, sizeof TESTS / sizeof *TESTS);
}
