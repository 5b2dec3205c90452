#include "carillon/proto/ws.h"

#include <stdlib.h>
#include <zlib.h>

#include "carillon/proto/deflate.h"
#include "support/suite.h"
#include "support/ws_client.h"

/* Compressed messages through the parser [Autobahn 12 and 13]. */

enum { CONTINUATION = 0, TEXT = 1, BIN = 2, CLOSE = 8, PING = 9, PONG = 10 };
#define FIN  WS_FIN
#define RSV1 WS_RSV1
/* RFC 7692, section 7.2.3.1. */
#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"

static const struct ws_server DEFLATE = {.deflate = true};

static void frames(void) {
    static const struct {
        const char *name;
        struct ws_frame frames[6];
        const char *want;
    } ROWS[] = {
        {"compressed", {WS_F(FIN | RSV1 | TEXT, HELLO)}, "T:Hello "},
        {"and not",
         {WS_F(FIN | TEXT, "Hello"), WS_F(FIN | RSV1 | BIN, HELLO), WS_F(FIN | BIN, "x")},
         "T:Hello B:Hello B:x "},
        {"empty", {WS_F(FIN | RSV1 | TEXT, "\x00")}, "T: "},
        {"no payload", {WS_F(FIN | RSV1 | TEXT, "")}, "T: "},
        {"fragments", {WS_F(RSV1 | TEXT, "\xf2\x48\xcd"), WS_F(FIN, "\xc9\xc9\x07\x00")}, "T:Hello "},
        {"empty last fragment after a flush in full",
         {WS_F(RSV1 | TEXT, HELLO "\x00\x00\xff\xff"), WS_F(FIN, "")},
         "T:Hello "},
        {"ping between",
         {WS_F(RSV1 | TEXT, "\xf2\x48\xcd"), WS_F(FIN | PING, "p"), WS_F(FIN, "\xc9\xc9\x07\x00")},
         "I:p T:Hello "},
        {"an uncompressed message after half a compressed one",
         {WS_F(RSV1 | TEXT, HELLO), WS_F(FIN | TEXT, "x")},
         "!1002 "},
        {"RSV1 on a continuation", {WS_F(RSV1 | TEXT, "\xf2\x48\xcd"), WS_F(FIN | RSV1, "\xc9\xc9\x07\x00")}, "!1002 "},
        {"RSV1 on a plain message's continuation", {WS_F(TEXT, "a"), WS_F(FIN | RSV1, HELLO)}, "!1002 "},
        {"RSV1 on ping", {WS_F(FIN | RSV1 | PING, HELLO)}, "!1002 "},
        {"RSV1 on pong", {WS_F(FIN | RSV1 | PONG, "")}, "!1002 "},
        {"RSV1 on close", {WS_F(FIN | RSV1 | CLOSE, "")}, "!1002 "},
        {"RSV2 as well", {WS_F(FIN | RSV1 | WS_RSV2 | TEXT, HELLO)}, "!1002 "},
        {"not DEFLATE", {WS_F(FIN | RSV1 | BIN, "\xff\xff\xff")}, "!1007 "},
        {"cut short", {WS_F(FIN | RSV1 | BIN, "\xf2\x48\xcd")}, "!1007 "},
        {"not UTF-8", {WS_F(FIN | RSV1 | TEXT, "\x00\x03\x00\xfc\xff\xed\xa0\x80\x00")}, "!1007 "},
        {"ends within a character", {WS_F(FIN | RSV1 | TEXT, "\x00\x01\x00\xfe\xff\xce\x00")}, "!1007 "},
        {"the same, binary", {WS_F(FIN | RSV1 | BIN, "\x00\x01\x00\xfe\xff\xce\x00")}, "B:\\ce "},
        {"no context taken over",
         {WS_F(FIN | RSV1 | TEXT, HELLO), WS_F(FIN | RSV1 | TEXT, "\xf2\x00\x11\x00\x00")},
         "T:Hello !1007 "},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        ws_server_expect_frames(ROWS[i].name, &DEFLATE, ROWS[i].frames, ROWS[i].want);
    }
    static const struct ws_frame UNAGREED[] = {WS_F(FIN | RSV1 | TEXT, HELLO), {0}};
    ws_server_expect_frames("without agreement", &(struct ws_server){0}, UNAGREED, "!1002 ");
}

/* [12.1 to 12.5, 13.1 to 13.7]: many messages of one size, whole and in fragments, through each window. */
static void sizes(void) {
    static const size_t SIZES[] = {16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072};
    struct car_deflater *deflater = car_deflater_new(6);
    char *bytes = malloc(131072);
    if (!bytes) {
        abort();
    }
    uint64_t state = 42;
    for (size_t i = 0; i < 131072; i++) {
        bytes[i] = (char)(' ' + (ws_random(&state) >> 20) % (i & 4096 ? 3 : 90));
    }
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        unsigned bits = CAR_DEFLATE_BITS_MIN + (unsigned)i % 7;
        struct car_buf wire = CAR_BUF_INIT;
        struct car_buf packed = CAR_BUF_INIT;
        struct car_span payload = car_span_of(bytes, SIZES[i]);
        CU_ASSERT_EQUAL(car_deflate(deflater, bits, payload, &packed), 0);
        ws_client_send(&wire, FIN | RSV1 | TEXT, car_buf_view(&packed));
        ws_client_fragments(&wire, RSV1 | BIN, car_buf_view(&packed), 256);
        ws_client_send(&wire, FIN | RSV1 | TEXT, car_buf_view(&packed));
        char *text = ws_event_text("T", payload);
        char *binary = ws_event_text("B", payload);
        char want[300];
        snprintf(want, sizeof want, "%s%s%s", text, binary, text);
        ws_server_expect("sizes", &DEFLATE, car_buf_view(&wire), want);
        free(text);
        free(binary);
        car_buf_free(&packed);
        car_buf_free(&wire);
    }
    free(bytes);
    car_deflater_free(&deflater);
}

static void limits(void) {
    struct ws_server server = {.max_message = 1000, .deflate = true};
    struct car_deflater *deflater = car_deflater_new(9);
    char bytes[100000];
    memset(bytes, 'x', sizeof bytes);
    static const struct {
        size_t len;
        bool fits;
    } ROWS[] = {{999, true}, {1000, true}, {1001, false}, {100000, false}};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_span payload = car_span_of(bytes, ROWS[i].len);
        struct car_buf wire = CAR_BUF_INIT;
        struct car_buf packed = CAR_BUF_INIT;
        CU_ASSERT_EQUAL(car_deflate(deflater, 15, payload, &packed), 0);
        ws_client_send(&wire, FIN | RSV1 | TEXT, car_buf_view(&packed));
        char *want = ROWS[i].fits ? ws_event_text("T", payload) : strdup("!1009 ");
        ws_server_expect("inflated", &server, car_buf_view(&wire), want);
        free(want);
        car_buf_free(&packed);
        car_buf_free(&wire);
    }
    /* What does not compress is longer on the wire than the message, and still fits. */
    uint64_t state = 7;
    for (size_t i = 0; i < 1000; i++) {
        bytes[i] = (char)ws_random(&state);
    }
    struct car_buf wire = CAR_BUF_INIT;
    struct car_buf packed = CAR_BUF_INIT;
    CU_ASSERT_EQUAL(car_deflate(deflater, 15, car_span_of(bytes, 1000), &packed), 0);
    CU_ASSERT_TRUE(packed.len > 1000);
    ws_client_send(&wire, FIN | RSV1 | BIN, car_buf_view(&packed));
    char *want = ws_event_text("B", car_span_of(bytes, 1000));
    ws_server_expect("incompressible", &server, car_buf_view(&wire), want);
    free(want);
    car_buf_free(&packed);
    car_buf_free(&wire);
    car_deflater_free(&deflater);
    /* 1000, an eighth, and 256 may be announced; for a plain message only 1000. */
    static const struct {
        const char *name;
        struct ws_frame frames[3];
        const char *want;
    } ANNOUNCED[] = {
        {"compressed", {{.used = true, .first = FIN | RSV1 | BIN, .payload = "", .claim = 1381}}, "..."},
        {"compressed, over", {{.used = true, .first = FIN | RSV1 | BIN, .payload = "", .claim = 1382}}, "!1009 "},
        {"fragments", {WS_F(RSV1 | BIN, "\x00"), {.used = true, .first = FIN, .payload = "", .claim = 1381}}, "!1009 "},
        {"plain, over", {{.used = true, .first = FIN | BIN, .payload = "", .claim = 1001}}, "!1009 "},
        {"plain after compressed",
         {WS_F(FIN | RSV1 | TEXT, HELLO), {.used = true, .first = FIN | BIN, .payload = "", .claim = 1001}},
         "T:Hello !1009 "},
    };
    for (size_t i = 0; i < sizeof ANNOUNCED / sizeof *ANNOUNCED; i++) {
        ws_server_expect_frames(ANNOUNCED[i].name, &server, ANNOUNCED[i].frames, ANNOUNCED[i].want);
    }
}

/* An inflater serves two parsers, the one within the other's callback. */
struct nested {
    struct car_inflater *inflater;
    unsigned depth;
    struct car_buf log;
};

static void on_message(void *user, enum car_ws_opcode op, char *data, size_t len);

static void on_control(void *user, const char *data, size_t len) {
    (void)user, (void)data, (void)len;
    CU_FAIL("control frame");
}

static void on_close(void *user, unsigned code, struct car_span reason) {
    (void)user, (void)code, (void)reason;
    CU_FAIL("close");
}

static void feed_hello(struct nested *nested) {
    static const struct car_ws_callbacks callbacks = {on_message, on_control, on_control, on_close};
    struct car_ws_parser parser;
    struct car_buf wire = CAR_BUF_INIT;
    size_t consumed = 0;
    const char *why = NULL;
    ws_client_send(&wire, FIN | RSV1 | TEXT, CAR_SPAN(HELLO));
    car_ws_parser_init(&parser, 100, true);
    CU_ASSERT_EQUAL(
        car_ws_parser_feed(&parser, wire.data, wire.len, nested->inflater, &callbacks, nested, &consumed, &why), 0);
    car_ws_parser_free(&parser);
    car_buf_free(&wire);
}

static void on_message(void *user, enum car_ws_opcode op, char *data, size_t len) {
    struct nested *nested = user;
    (void)op;
    if (nested->depth++ < 2) {
        feed_hello(nested);
    }
    /* Looked at after the inner parsers have used the inflater. */
    car_buf_put(&nested->log, data, len);
}

static void nesting(void) {
    struct nested nested = {.inflater = car_inflater_new()};
    feed_hello(&nested);
    CU_ASSERT_TRUE(car_span_eq(car_buf_view(&nested.log), CAR_SPAN("HelloHelloHello")));
    car_buf_free(&nested.log);
    car_inflater_free(&nested.inflater);
}

static const struct car_test TESTS[] = {
    {"frames", frames},
    {"sizes", sizes},
    {"limits", limits},
    {"nesting", nesting},
};

int main(void) {
    return car_suite_main("ws_deflate", TESTS, sizeof TESTS / sizeof *TESTS);
}
