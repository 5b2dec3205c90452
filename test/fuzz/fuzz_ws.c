#include <stdlib.h>

#include "carillon/base/utf8.h"
#include "carillon/proto/deflate.h"
#include "carillon/proto/ws.h"

/*
 * The first byte chooses the settings, the next two the splits; the rest is what a client sends, with its frames
 * masked as they are on the wire. The stream is played whole and in pieces, and both must give the same.
 */

enum { MAX_MESSAGE = 20000, DEFLATE = 1, STOPS = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
    struct car_ws_parser parser;
    struct car_buf log;
    bool stops;
    bool over;
};

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void note(struct play *play, char kind, const char *data, size_t len) {
    require(!play->over && data);
    car_buf_char(&play->log, kind);
    car_buf_put(&play->log, &len, sizeof len);
    car_buf_put(&play->log, data, len);
    if (play->stops) {
        car_ws_parser_stop(&play->parser);
    }
}

static void on_message(void *user, enum car_ws_opcode op, char *data, size_t len) {
    require(len <= MAX_MESSAGE);
    require(op == CAR_WS_BINARY || (op == CAR_WS_TEXT && car_utf8_valid(data, len)));
    note(user, op == CAR_WS_TEXT ? 'T' : 'B', data, len);
    memset(data, 0xee, len);
}

static void on_ping(void *user, const char *data, size_t len) {
    require(len <= CAR_WS_CONTROL_MAX);
    note(user, 'I', data, len);
}

static void on_pong(void *user, const char *data, size_t len) {
    require(len <= CAR_WS_CONTROL_MAX);
    note(user, 'O', data, len);
}

static void on_close(void *user, unsigned code, struct car_span reason) {
    struct play *play = user;
    require(code == CAR_WS_NO_STATUS || car_ws_close_code_valid(code));
    require(reason.len <= CAR_WS_REASON_MAX && car_utf8_valid(reason.ptr, reason.len));
    note(play, 'C', reason.len ? reason.ptr : "", reason.len);
    car_buf_put(&play->log, &code, sizeof code);
    play->over = true;
}

static void feed_piece(struct play *play, const uint8_t *data, size_t len, struct car_inflater *inflater) {
    static const struct car_ws_callbacks callbacks = {on_message, on_ping, on_pong, on_close};
    char *bytes = malloc(len ? len : 1);
    require(bytes);
    if (len > 0) {
        memcpy(bytes, data, len);
    }
    size_t at = 0;
    do {
        size_t consumed = SIZE_MAX;
        const char *why = NULL;
        unsigned code =
            car_ws_parser_feed(&play->parser, bytes + at, len - at, inflater, &callbacks, play, &consumed, &why);
        require(consumed <= len - at && (play->stops || consumed == len - at));
        require((code != 0) == (why != NULL));
        if (code) {
            require(code == 1002 || code == 1007 || code == 1009);
            require(!play->over);
            car_buf_char(&play->log, '!');
            car_buf_put(&play->log, &code, sizeof code);
            play->over = true;
        }
        at += consumed;
    } while (at < len);
    free(bytes);
    require(car_ws_parser_memory(&play->parser) <= 4 * MAX_MESSAGE);
    require(car_ws_parser_midway(&play->parser) || car_ws_parser_memory(&play->parser) == 0);
}

/* Pieces of 1 to `most` bytes; whole where it is 0. */
static struct car_buf run(const uint8_t *data, size_t size, unsigned settings, unsigned most, uint32_t seed) {
    struct play play = {.stops = settings & STOPS};
    struct car_inflater *inflater = settings & DEFLATE ? car_inflater_new() : NULL;
    car_ws_parser_init(&play.parser, MAX_MESSAGE, settings & DEFLATE);
    do {
        seed = seed * 1664525u + 1013904223u;
        size_t len = most ? 1 + (seed >> 8) % most : size;
        len = len > size ? size : len;
        feed_piece(&play, data, len, inflater);
        data += len;
        size -= len;
    } while (size > 0);
    car_buf_char(&play.log, car_ws_parser_midway(&play.parser) ? 'm' : '.');
    car_ws_parser_free(&play.parser);
    car_inflater_free(&inflater);
    require(!play.log.failed);
    return play.log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    unsigned settings = data[0];
    const uint8_t *stream = data + 3;
    struct car_buf whole = run(stream, size - 3, settings & DEFLATE, 0, 0);
    struct car_buf split = run(stream, size - 3, settings, 1u + data[1], data[2]);
    struct car_buf bytewise = run(stream, size - 3, settings, 1, 0);
    require(car_span_eq(car_buf_view(&whole), car_buf_view(&split)));
    require(car_span_eq(car_buf_view(&whole), car_buf_view(&bytewise)));
    car_buf_free(&whole);
    car_buf_free(&split);
    car_buf_free(&bytewise);
    return 0;
}
