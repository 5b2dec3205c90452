#ifndef CARILLON_LOAD_WS_H
#define CARILLON_LOAD_WS_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "http.h"

/* WebSocket (RFC 6455), the client's side, as far as servers in a benchmark use it: no fragments, no extensions. */

enum ws_opcode { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* A key and what a server has to answer to it: the RFC's own example (section 1.3), so that SHA-1 is not needed. */
#define WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

struct ws_frame {
    enum ws_opcode opcode;
    char *payload; /* within the data */
    size_t len;
    size_t size; /* with the header */
};

/* Reads one frame from a server. */
enum reading ws_frame_read(char *data, size_t len, struct ws_frame *frame);

/* Appends one masked frame. */
void ws_frame_write(struct bytes *out, enum ws_opcode opcode, const char *payload, size_t len);

/* The code that a close frame carries; 1005 where it has none. */
unsigned ws_close_code(const struct ws_frame *frame);

#endif
