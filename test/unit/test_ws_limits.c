#include "carillon/proto/ws.h"

#include <stdlib.h>
#include <time.h>

#include "support/suite.h"
#include "support/ws_client.h"

/* The bounds on a message, its memory and its cost [Autobahn 9], and what callbacks may do to the parser. */

enum { CONTINUATION = 0, TEXT = 1, BIN = 2, CLOSE = 8, PING = 9, PONG = 10 };
#define FIN WS_FIN

static char *filled(size_t len) {
    char *bytes = malloc(len + 1);
    if (!bytes) {
        abort();
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)('a' + (i * 7 + i / 251) % 26);
    }
    return bytes;
}

/* Messages around the limit, as one frame and in fragments: allowed to the byte. */
static void limit(void) {
    static const struct {
        size_t max, len, fragment;
        bool fits;
    } ROWS[] = {
        {100, 100, 1000, true}, {100, 101, 1000, false}, {100, 100, 10, true},    {100, 101, 10, false},
        {1, 1, 10, true},       {1, 2, 10, false},       {70000, 70000, 3, true}, {70000, 70001, 7, false},
    };
    char *bytes = filled(80000);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct ws_server server = {.max_message = ROWS[i].max};
        struct car_buf wire = CAR_BUF_INIT;
        struct car_span payload = car_span_of(bytes, ROWS[i].len);
        char *want = ROWS[i].fits ? ws_event_text("T", payload) : strdup("!1009 ");
        ws_client_fragments(&wire, TEXT, payload, ROWS[i].fragment);
        ws_server_expect("limit", &server, car_buf_view(&wire), want);
        free(want);
        car_buf_free(&wire);
    }
    free(bytes);
}

/* Told by the head alone, before any payload. */
static void announced(void) {
    static const struct {
        const char *name;
        struct ws_frame frames[4];
        const char *want;
    } ROWS[] = {
        {"one frame", {{.used = true, .first = FIN | BIN, .payload = "", .claim = 1001}}, "!1009 "},
        {"2^63 - 1", {{.used = true, .first = BIN, .payload = "", .claim = INT64_MAX}}, "!1009 "},
        {"a sum", {WS_F(BIN, "a"), {.used = true, .first = FIN, .payload = "", .claim = 1000}}, "!1009 "},
        {"fits", {{.used = true, .first = FIN | BIN, .payload = "", .claim = 1000}}, "..."},
        {"a sum that fits", {WS_F(BIN, "a"), {.used = true, .first = FIN, .payload = "", .claim = 999}}, "..."},
    };
    struct ws_server server = {.max_message = 1000};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        ws_server_expect_frames(ROWS[i].name, &server, ROWS[i].frames, ROWS[i].want);
    }
}

/* [9.1 to 9.8, 10.1]: up to 16 MiB, whole, in fragments, and in small pieces of the stream. */
static void large(void) {
    static const struct {
        size_t len, fragment;
    } ROWS[] = {
        {65536, SIZE_MAX}, {65536, 1300},      {4 << 20, SIZE_MAX},  {4 << 20, 64},
        {4 << 20, 4096},   {4 << 20, 1 << 20}, {16 << 20, SIZE_MAX},
    };
    const struct ws_server server = {0};
    char *bytes = filled(16 << 20);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct car_buf wire = CAR_BUF_INIT;
        struct car_span payload = car_span_of(bytes, ROWS[i].len);
        ws_client_fragments(&wire, TEXT, payload, ROWS[i].fragment);
        char *want = ws_event_text("T", payload);
        static const size_t PIECES[] = {SIZE_MAX, 65536, 1447, 64};
        for (size_t k = 0; k < 4; k++) {
            char *got = ws_server_play(&server, car_buf_view(&wire), PIECES[k], 0);
            CU_ASSERT_STRING_EQUAL(got, want);
            free(got);
        }
        free(want);
        car_buf_free(&wire);
    }
    free(bytes);
}

struct seen {
    struct car_ws_parser *parser;
    size_t messages;
    size_t len;
    const char *data;
    bool frees;
    bool stops;
};

static void on_message(void *user, enum car_ws_opcode op, char *data, size_t len) {
    struct seen *seen = user;
    (void)op;
    seen->messages++;
    seen->len = len;
    seen->data = data;
    if (seen->stops) {
        car_ws_parser_stop(seen->parser);
    }
    if (seen->frees) {
        car_ws_parser_free(seen->parser);
    }
}

static void on_control(void *user, const char *data, size_t len) {
    struct seen *seen = user;
    (void)data, (void)len;
    if (seen->frees) {
        car_ws_parser_free(seen->parser);
    }
}

static void on_close(void *user, unsigned code, struct car_span reason) {
    (void)code;
    on_control(user, reason.ptr, reason.len);
}

static const struct car_ws_callbacks WATCH = {on_message, on_control, on_control, on_close};

static unsigned feed(struct seen *seen, char *bytes, size_t len) {
    size_t consumed = 0;
    const char *why = NULL;
    unsigned code = car_ws_parser_feed(seen->parser, bytes, len, NULL, &WATCH, seen, &consumed, &why);
    CU_ASSERT_EQUAL(consumed, len);
    return code;
}

/* A message that lies whole in the buffer is not copied. */
static void in_place(void) {
    struct car_ws_parser parser;
    struct seen seen = {.parser = &parser};
    struct car_buf wire = CAR_BUF_INIT;
    ws_client_send(&wire, FIN | TEXT, CAR_SPAN("first"));
    size_t second = wire.len;
    ws_client_send(&wire, FIN | BIN, CAR_SPAN("second"));
    car_ws_parser_init(&parser, 1000, false);
    CU_ASSERT_EQUAL(feed(&seen, wire.data, wire.len), 0);
    CU_ASSERT_EQUAL(seen.messages, 2);
    CU_ASSERT_PTR_EQUAL(seen.data, wire.data + second + 6);
    CU_ASSERT_EQUAL(memcmp(seen.data, "second", 6), 0);
    CU_ASSERT_EQUAL(car_ws_parser_memory(&parser), 0);
    car_ws_parser_free(&parser);
    car_buf_free(&wire);
}

/* Stopped by a callback: what follows the frame is as it came, and the next feed goes on there. */
static void stopping(void) {
    struct car_ws_parser parser;
    struct seen seen = {.parser = &parser, .stops = true};
    struct car_buf wire = CAR_BUF_INIT;
    struct car_buf copy = CAR_BUF_INIT;
    ws_client_send(&wire, FIN | TEXT, CAR_SPAN("first"));
    size_t second = wire.len;
    ws_client_send(&wire, FIN | TEXT, CAR_SPAN("second"));
    car_buf_span(&copy, car_buf_view(&wire));
    car_ws_parser_init(&parser, 1000, false);
    size_t consumed = 0;
    const char *why = NULL;
    CU_ASSERT_EQUAL(car_ws_parser_feed(&parser, wire.data, wire.len, NULL, &WATCH, &seen, &consumed, &why), 0);
    CU_ASSERT_EQUAL(seen.messages, 1);
    CU_ASSERT_EQUAL(consumed, second);
    CU_ASSERT_EQUAL(memcmp(wire.data + second, copy.data + second, wire.len - second), 0);
    CU_ASSERT_EQUAL(
        car_ws_parser_feed(&parser, wire.data + second, wire.len - second, NULL, &WATCH, &seen, &consumed, &why), 0);
    CU_ASSERT_EQUAL(seen.messages, 2);
    CU_ASSERT_EQUAL(consumed, wire.len - second);
    CU_ASSERT_EQUAL(memcmp(seen.data, "second", 6), 0);
    car_ws_parser_free(&parser);
    car_buf_free(&wire);
    car_buf_free(&copy);
}

/* Memory follows what has arrived: a frame that announces 60 MiB and sends 10 bytes costs next to nothing. */
static void memory(void) {
    struct car_ws_parser parser;
    struct seen seen = {.parser = &parser};
    struct car_buf wire = CAR_BUF_INIT;
    struct ws_frame frame = {.first = FIN | BIN, .payload = "0123456789", .len = 10, .claim = 60 << 20};
    ws_client_frame(&wire, &frame);
    CU_ASSERT(sizeof parser <= 72);
    car_ws_parser_init(&parser, 64 << 20, false);
    CU_ASSERT_FALSE(car_ws_parser_midway(&parser));
    CU_ASSERT_EQUAL(feed(&seen, wire.data, 1), 0);
    CU_ASSERT_TRUE(car_ws_parser_midway(&parser));
    CU_ASSERT_EQUAL(car_ws_parser_memory(&parser), 0);
    CU_ASSERT_EQUAL(feed(&seen, wire.data + 1, wire.len - 1), 0);
    CU_ASSERT_TRUE(car_ws_parser_memory(&parser) > 0);
    CU_ASSERT_TRUE(car_ws_parser_memory(&parser) < 1024);
    char more[10000];
    memset(more, 'x', sizeof more);
    CU_ASSERT_EQUAL(feed(&seen, more, sizeof more), 0);
    CU_ASSERT_TRUE(car_ws_parser_memory(&parser) < 4 * sizeof more);
    CU_ASSERT_TRUE(car_ws_parser_midway(&parser));
    car_ws_parser_free(&parser);
    CU_ASSERT_EQUAL(car_ws_parser_memory(&parser), 0);
    CU_ASSERT_FALSE(car_ws_parser_midway(&parser));
    /* Swallowed, without a callback. */
    wire.len = 0;
    ws_client_send(&wire, FIN | TEXT, CAR_SPAN("late"));
    CU_ASSERT_EQUAL(feed(&seen, wire.data, wire.len), 0);
    CU_ASSERT_EQUAL(seen.messages, 0);
    car_buf_free(&wire);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 65,536 fragments of 64 bytes cost what their bytes cost. Far from the bound where the work is linear, far beyond it
 * where every fragment copies what came before: that would be 128 GiB. */
static void many_fragments(void) {
    struct car_ws_parser parser;
    struct seen seen = {.parser = &parser};
    struct car_buf wire = CAR_BUF_INIT;
    char *bytes = filled(4 << 20);
    ws_client_fragments(&wire, BIN, car_span_of(bytes, 4 << 20), 64);
    car_ws_parser_init(&parser, 4 << 20, false);
    double start = seconds();
    CU_ASSERT_EQUAL(feed(&seen, wire.data, wire.len), 0);
    double took = seconds() - start;
    CU_ASSERT_EQUAL(seen.messages, 1);
    CU_ASSERT_EQUAL(seen.len, 4 << 20);
    CU_ASSERT_TRUE(took < 2);
    car_ws_parser_free(&parser);
    car_buf_free(&wire);
    free(bytes);
}

/* Fragments without payload end, though the message never does. */
static void empty_fragments(void) {
    struct car_ws_parser parser;
    struct seen seen = {.parser = &parser};
    struct car_buf wire = CAR_BUF_INIT;
    ws_client_send(&wire, TEXT, CAR_SPAN(""));
    size_t one = wire.len;
    wire.data[0] = 0;
    char frame[16];
    memcpy(frame, wire.data, one);
    wire.data[0] = TEXT;
    car_ws_parser_init(&parser, 1000, false);
    CU_ASSERT_EQUAL(feed(&seen, wire.data, wire.len), 0);
    for (size_t i = 1; i < CAR_WS_EMPTY_FRAGMENTS_MAX; i++) {
        if (feed(&seen, frame, one) != 0) {
            CU_FAIL_FATAL("an empty fragment within the bound");
        }
    }
    CU_ASSERT_EQUAL(car_ws_parser_memory(&parser), 0);
    CU_ASSERT_EQUAL(feed(&seen, frame, one), 1009);
    CU_ASSERT_EQUAL(seen.messages, 0);
    car_ws_parser_free(&parser);
    car_buf_free(&wire);
}

/* A callback may free what the parser holds: for each kind of frame, in place and assembled. */
static void freed_by_callback(void) {
    static const unsigned FIRSTS[] = {FIN | TEXT, FIN | PING, FIN | PONG, FIN | CLOSE};
    for (size_t i = 0; i < sizeof FIRSTS / sizeof *FIRSTS; i++) {
        for (size_t piece = 1; piece < 100; piece += 50) {
            struct car_ws_parser parser;
            struct seen seen = {.parser = &parser, .frees = true};
            struct car_buf wire = CAR_BUF_INIT;
            bool control = FIRSTS[i] != (FIN | TEXT);
            if (control) {
                ws_client_send(&wire, TEXT, CAR_SPAN("part"));
            }
            ws_client_send(&wire, FIRSTS[i], control ? CAR_SPAN("\x03\xe8!!!") : CAR_SPAN("text"));
            ws_client_send(&wire, FIN | CONTINUATION, CAR_SPAN("never seen"));
            car_ws_parser_init(&parser, 1000, false);
            for (size_t at = 0; at < wire.len; at += piece) {
                size_t len = wire.len - at < piece ? wire.len - at : piece;
                CU_ASSERT_EQUAL(feed(&seen, wire.data + at, len), 0);
            }
            CU_ASSERT_EQUAL(seen.messages, control ? 0 : 1);
            CU_ASSERT_EQUAL(car_ws_parser_memory(&parser), 0);
            car_buf_free(&wire);
        }
    }
}

static const struct car_test TESTS[] = {
    {"limit", limit},
    {"announced", announced},
    {"large", large},
    {"in place", in_place},
    {"stopping", stopping},
    {"memory", memory},
    {"many fragments", many_fragments},
    {"empty fragments", empty_fragments},
    {"freed by a callback", freed_by_callback},
};

int main(void) {
    return car_suite_main("ws_limits", TESTS, sizeof TESTS / sizeof *TESTS);
}
