#include "ws_client.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "carillon/proto/deflate.h"

enum { SHOWN = 64, DEFAULT_MAX = 64 * 1024 * 1024, RANDOM_ROUNDS = 12, BYTEWISE_MAX = 300 * 1024 };

uint64_t ws_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void ws_client_frame(struct car_buf *wire, const struct ws_frame *frame) {
    uint64_t claim = frame->claim ? frame->claim : frame->len;
    unsigned len_len = frame->len_len ? frame->len_len : claim <= 125 ? 0 : claim <= 0xffff ? 2 : 8;
    unsigned len7 = len_len == 0 ? (unsigned)claim : len_len == 2 ? 126 : 127;
    car_buf_char(wire, (char)frame->first);
    car_buf_char(wire, (char)(len7 | (frame->unmasked ? 0u : 0x80u)));
    for (unsigned i = len_len; i > 0; i--) {
        car_buf_char(wire, (char)(claim >> (8 * (i - 1)) & 0xff));
    }
    uint64_t random = wire->len + 0x9e3779b97f4a7c15u;
    ws_random(&random);
    uint32_t mask = frame->unmasked ? 0 : (uint32_t)ws_random(&random);
    if (!frame->unmasked) {
        car_buf_put(wire, &mask, sizeof mask);
    }
    size_t start = wire->len;
    car_buf_put(wire, frame->payload, frame->len);
    for (size_t i = 0; i < frame->len && !wire->failed; i++) {
        const unsigned char *key = (const unsigned char *)&mask;
        wire->data[start + i] = (char)((unsigned char)wire->data[start + i] ^ key[i % 4]);
    }
}

void ws_client_send(struct car_buf *wire, unsigned first, struct car_span payload) {
    struct ws_frame frame = {.first = first, .payload = payload.ptr, .len = payload.len};
    ws_client_frame(wire, &frame);
}

void ws_client_fragments(struct car_buf *wire, unsigned first, struct car_span payload, size_t size) {
    unsigned head = first & ~(unsigned)WS_FIN;
    while (payload.len > size) {
        ws_client_send(wire, head, car_span_of(payload.ptr, size));
        payload = car_span_of(payload.ptr + size, payload.len - size);
        head = CAR_WS_CONTINUATION;
    }
    ws_client_send(wire, head | WS_FIN, payload);
}

static void put_event(struct car_buf *log, const char *kind, struct car_span payload) {
    car_buf_printf(log, "%s:", kind);
    if (payload.len > SHOWN) {
        uLong crc = crc32_z(0, (const Bytef *)payload.ptr, payload.len);
        car_buf_printf(log, "%zu#%08lx ", payload.len, crc);
        return;
    }
    for (size_t i = 0; i < payload.len; i++) {
        unsigned char c = (unsigned char)payload.ptr[i];
        if (c > ' ' && c < 0x7f) {
            car_buf_char(log, (char)c);
        } else {
            car_buf_printf(log, "\\%02x", c);
        }
    }
    car_buf_char(log, ' ');
}

static char *text_of(struct car_buf *log) {
    car_buf_char(log, '\0');
    if (log->failed) {
        abort();
    }
    return log->data;
}

char *ws_event_text(const char *kind, struct car_span payload) {
    struct car_buf log = CAR_BUF_INIT;
    put_event(&log, kind, payload);
    return text_of(&log);
}

struct play {
    struct car_ws_parser parser;
    struct car_buf log;
    bool stops;
    unsigned happened; /* callbacks in the present call of feed */
};

static void happened(void *user, const char *kind, struct car_span payload) {
    struct play *play = user;
    put_event(&play->log, kind, payload);
    play->happened++;
    if (play->stops) {
        car_ws_parser_stop(&play->parser);
    }
}

static void on_message(void *user, enum car_ws_opcode op, char *data, size_t len) {
    happened(user, op == CAR_WS_TEXT ? "T" : "B", car_span_of(data, len));
    memset(data, 0xee, len);
}

static void on_ping(void *user, const char *data, size_t len) {
    happened(user, "I", car_span_of(data, len));
}

static void on_pong(void *user, const char *data, size_t len) {
    happened(user, "O", car_span_of(data, len));
}

static void on_close(void *user, unsigned code, struct car_span reason) {
    char kind[16];
    snprintf(kind, sizeof kind, "C%u", code);
    happened(user, kind, reason);
}

/* Feeds one piece, again from where the parser stopped. */
static void feed_piece(struct play *play, struct car_inflater *inflater, struct car_span piece) {
    static const struct car_ws_callbacks callbacks = {on_message, on_ping, on_pong, on_close};
    char *bytes = malloc(piece.len ? piece.len : 1);
    if (!bytes) {
        abort();
    }
    memcpy(bytes, piece.ptr, piece.len);
    size_t at = 0;
    do {
        size_t consumed = SIZE_MAX;
        const char *why = NULL;
        play->happened = 0;
        unsigned code =
            car_ws_parser_feed(&play->parser, bytes + at, piece.len - at, inflater, &callbacks, play, &consumed, &why);
        if (consumed > piece.len - at || (!play->stops && consumed < piece.len - at) || (code != 0) != (why != NULL) ||
            (play->stops && play->happened > 1)) {
            car_buf_printf(&play->log, "bad-result ");
            break;
        }
        if (code) {
            car_buf_printf(&play->log, "!%u ", code);
        }
        at += consumed;
    } while (at < piece.len);
    free(bytes);
}

char *ws_server_play(const struct ws_server *server, struct car_span wire, size_t piece, uint64_t seed) {
    struct play play = {.stops = server->stops};
    struct car_inflater *inflater = server->deflate ? car_inflater_new() : NULL;
    car_ws_parser_init(&play.parser, server->max_message ? server->max_message : DEFAULT_MAX, server->deflate);
    while (wire.len > 0) {
        size_t len = piece;
        if (seed) {
            uint64_t random = ws_random(&seed);
            /* Mostly small, now and then large. */
            len = (size_t)(random % (random & 0x100 ? 9 : random & 0x200 ? 200 : 40000));
        }
        len = len > wire.len ? wire.len : len;
        feed_piece(&play, inflater, car_span_of(wire.ptr, len));
        wire = car_span_of(wire.ptr + len, wire.len - len);
    }
    bool midway = car_ws_parser_midway(&play.parser);
    if (midway) {
        car_buf_printf(&play.log, "...");
    } else if (car_ws_parser_memory(&play.parser) > 0) {
        car_buf_printf(&play.log, "memory-held-between-messages");
    }
    car_ws_parser_free(&play.parser);
    car_inflater_free(&inflater);
    return text_of(&play.log);
}

static void expect_one(const char *name, const struct ws_server *server, struct car_span wire, const char *want,
                       size_t piece, uint64_t seed) {
    char *got = ws_server_play(server, wire, piece, seed);
    if (strcmp(got, want) != 0) {
        printf("\n%s (pieces of %zu, seed %llu%s)\n  want %s\n  got  %s\n", name, piece, (unsigned long long)seed,
               server->stops ? ", stopping" : "", want, got);
    }
    CU_ASSERT_STRING_EQUAL(got, want);
    free(got);
}

void ws_server_expect(const char *name, const struct ws_server *server, struct car_span wire, const char *want) {
    struct ws_server stopping = *server;
    stopping.stops = true;
    expect_one(name, server, wire, want, SIZE_MAX, 0);
    expect_one(name, &stopping, wire, want, SIZE_MAX, 0);
    if (wire.len <= BYTEWISE_MAX) {
        expect_one(name, server, wire, want, 1, 0);
    }
    /* The parts of a head, and what a network delivers. */
    expect_one(name, server, wire, want, 7, 0);
    expect_one(name, server, wire, want, 1447, 0);
    for (uint64_t seed = 1; seed <= RANDOM_ROUNDS; seed++) {
        expect_one(name, seed & 1 ? server : &stopping, wire, want, 0, seed * 0x9e3779b97f4a7c15u);
        if (wire.len > BYTEWISE_MAX && seed == 2) {
            break;
        }
    }
}

void ws_server_expect_frames(const char *name, const struct ws_server *server, const struct ws_frame *frames,
                             const char *want) {
    struct car_buf wire = CAR_BUF_INIT;
    for (; frames->used; frames++) {
        ws_client_frame(&wire, frames);
    }
    ws_server_expect(name, server, car_buf_view(&wire), want);
    car_buf_free(&wire);
}
