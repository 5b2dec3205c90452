#ifndef CARILLON_TEST_SUPPORT_WS_CLIENT_H
#define CARILLON_TEST_SUPPORT_WS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/proto/ws.h"

/* A WebSocket client as a test needs it: one that may also break the rules, and a server's parser to play it to. */

enum { WS_FIN = 0x80, WS_RSV1 = 0x40, WS_RSV2 = 0x20, WS_RSV3 = 0x10 };

struct ws_frame {
    unsigned first; /* FIN, RSV and opcode; 0 ends a table's list of frames, but see `used` */
    const char *payload;
    size_t len;
    bool used;        /* there is a frame, though `first` be 0 */
    bool unmasked;    /* without the mask that a client owes */
    unsigned len_len; /* 2 or 8: bytes of the extended length, where not the shortest */
    uint64_t claim;   /* the length to announce, where not `len` */
};

/* A row's frame, as an initializer: the first byte and a literal payload. */
#define WS_F(byte, lit)                                                                                                \
    { .first = (byte), .payload = (lit), .len = sizeof(lit) - 1, .used = true }

/* Appends a frame, with a mask that depends on where it stands. */
void ws_client_frame(struct car_buf *wire, const struct ws_frame *frame);
void ws_client_send(struct car_buf *wire, unsigned first, struct car_span payload);

/* Appends a message in fragments of at most `size` bytes. */
void ws_client_fragments(struct car_buf *wire, unsigned first, struct car_span payload, size_t size);

struct ws_server {
    size_t max_message; /* 0: 64 MiB */
    bool deflate;
    bool stops; /* every callback stops the parser */
};

/*
 * Plays the wire to a parser in pieces: of `piece` bytes, or of random ones where `seed` is not 0. Each piece lies in
 * memory of its exact size. Returns what happened as text, to be freed: T:text, B:binary, I:ping, O:pong, C1000:reason,
 * !1002, each with a space after; "..." where the parser ends up midway. Payloads over 64 bytes are their length and
 * CRC 32.
 */
char *ws_server_play(const struct ws_server *server, struct car_span wire, size_t piece, uint64_t seed);

/* Plays the wire whole, byte by byte, and at random splits, with and without stopping, and checks that each time the
 * text is `want`. */
void ws_server_expect(const char *name, const struct ws_server *server, struct car_span wire, const char *want);

/* The same for a list of frames that ends with an unused one. */
void ws_server_expect_frames(const char *name, const struct ws_server *server, const struct ws_frame *frames,
                             const char *want);

/* The text for one message or frame, to be freed. */
char *ws_event_text(const char *kind, struct car_span payload);

/* xorshift; *state must not be 0. */
uint64_t ws_random(uint64_t *state);

#endif
