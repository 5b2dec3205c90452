#ifndef CARILLON_PROTO_WS_H
#define CARILLON_PROTO_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/base/utf8.h"

/*
 * The WebSocket protocol (RFC 6455, section 5), the server's side, without I/O: the reader takes the bytes a client
 * sent and calls back with whole messages; the writers make unmasked frame heads. One thread at a time for a parser.
 */

struct car_inflater;
struct car_ws_assembly;

/* RFC 6455, section 11.8. */
enum car_ws_opcode {
    CAR_WS_CONTINUATION = 0x0,
    CAR_WS_TEXT = 0x1,
    CAR_WS_BINARY = 0x2,
    CAR_WS_CLOSE = 0x8,
    CAR_WS_PING = 0x9,
    CAR_WS_PONG = 0xa,
};

/* Close codes this server sends or meets (RFC 6455, section 7.4.1; 1012 to 1014 from the IANA registry). */
enum car_ws_close {
    CAR_WS_NORMAL = 1000,
    CAR_WS_GOING_AWAY = 1001,
    CAR_WS_PROTOCOL_ERROR = 1002,
    CAR_WS_UNSUPPORTED = 1003,
    CAR_WS_NO_STATUS = 1005, /* never on the wire: a close frame without a code */
    CAR_WS_ABNORMAL = 1006,  /* never on the wire: the connection ended without a close frame */
    CAR_WS_BAD_DATA = 1007,
    CAR_WS_POLICY = 1008,
    CAR_WS_TOO_BIG = 1009,
    CAR_WS_INTERNAL = 1011,
    CAR_WS_RESTART = 1012,
    CAR_WS_TRY_LATER = 1013,
};

enum {
    CAR_WS_HEADER_MAX = 10,                       /* bytes of an unmasked frame's head */
    CAR_WS_CONTROL_MAX = 125,                     /* bytes of a control frame's payload */
    CAR_WS_REASON_MAX = CAR_WS_CONTROL_MAX - 2,   /* bytes of a close frame's reason */
    CAR_WS_CLOSE_MAX = 2 + 2 + CAR_WS_REASON_MAX, /* bytes of a whole close frame */
    CAR_WS_EMPTY_FRAGMENTS_MAX = 65536,           /* fragments without payload in one message */
};

/*
 * The state of one connection's receiving side. Embedded by its owner; the fields are the parser's alone. `assembly`
 * exists only while a message or a control frame has arrived in part.
 */
struct car_ws_parser {
    struct car_ws_assembly *assembly;
    uint64_t max_message;
    uint64_t frame_left; /* payload bytes of the current frame still to come */
    struct car_utf8 utf8;
    uint32_t empty_fragments;
    uint8_t mask[4]; /* turned so that mask[0] belongs to the next payload byte */
    uint8_t head[14];
    uint8_t head_len;
    uint8_t message_op; /* CAR_WS_TEXT or CAR_WS_BINARY within a message, CAR_WS_CONTINUATION between messages */
    bool in_payload : 1;
    bool compressed : 1;
    bool deflate : 1;
    bool stopped : 1;
    bool dead : 1;
};

/*
 * What a parser calls. All members are required. The bytes live until the callback returns (`data` is never NULL and
 * may be scribbled on, up to `len`). A callback may call car_ws_parser_stop() or car_ws_parser_free(), but the parser's
 * own memory has to last until feed returns, and the callback must not feed it. It may feed other parsers with the same
 * inflater.
 */
struct car_ws_callbacks {
    /* A whole message; `op` is CAR_WS_TEXT (checked UTF-8) or CAR_WS_BINARY. */
    void (*on_message)(void *user, enum car_ws_opcode op, char *data, size_t len);
    void (*on_ping)(void *user, const char *data, size_t len);
    void (*on_pong)(void *user, const char *data, size_t len);
    /* The peer's close frame: a code that may stand on the wire, or CAR_WS_NO_STATUS; the reason is checked UTF-8. */
    void (*on_close)(void *user, unsigned code, struct car_span reason);
};

/*
 * `max_message` bounds a message's bytes, after inflation; its compressed form may have an eighth and 256 bytes more.
 * `deflate` says that permessage-deflate was negotiated. Allocates nothing.
 */
void car_ws_parser_init(struct car_ws_parser *p, size_t max_message, bool deflate);

/* Frees what has been assembled so far; the parser is then dead until car_ws_parser_init(). Harmless when repeated. */
void car_ws_parser_free(struct car_ws_parser *p);

/*
 * Feeds `len` bytes, which are unmasked in place: the caller's read buffer is scratch. A message of one frame that lies
 * whole in the buffer is handed out in place, without a copy; others are assembled, in memory that grows with what has
 * arrived and not with what was announced. The work is linear in the bytes fed, plus what inflation yields.
 *
 * Returns 0, or the close code that the connection must be failed with, and then a static English text in *why:
 * 1002 (protocol), 1007 (not UTF-8, or not DEFLATE data), 1009 (over max_message, known at the frame's head where the
 * head tells), 1011 (out of memory). Text is checked as it arrives, also within a frame (Autobahn 6.4); compressed text
 * once it is whole. *consumed is how many bytes were taken: all of them, unless a callback stopped the parser. *why is
 * set only with a code.
 *
 * After a failure or on_close the parser is dead: it swallows what it is fed, returns 0, and calls nothing.
 * `inflater` may be NULL without permessage-deflate; it belongs to the calling thread.
 */
unsigned car_ws_parser_feed(struct car_ws_parser *p, char *bytes, size_t len, struct car_inflater *inflater,
                            const struct car_ws_callbacks *callbacks, void *user, size_t *consumed, const char **why);

/* From within a callback: feed returns after it, with *consumed just behind the frame. The next feed goes on with the
 * bytes that follow, which have not been touched. No effect outside a callback. */
void car_ws_parser_stop(struct car_ws_parser *p);

/* Whether a message or a frame has arrived in part, so that a peer that goes silent now owes the rest. */
bool car_ws_parser_midway(const struct car_ws_parser *p);

/* Bytes of a message or a frame that has arrived in part. */
size_t car_ws_parser_kept(const struct car_ws_parser *p);

/* Bytes of heap the parser holds. */
size_t car_ws_parser_memory(const struct car_ws_parser *p);

/* Whether a close frame may carry the code: 1000 to 1003, 1007 to 1014, 3000 to 4999 (RFC 6455, section 7.4). */
bool car_ws_close_code_valid(unsigned code);

/* Bytes of the head of an unmasked frame: 2, 4 or 10. */
size_t car_ws_header_len(uint64_t payload_len);

/* Of whole unmasked frames, `written` bytes of which have been written: how many more end the one that has been begun;
 * 0 between two of them. */
size_t car_ws_frame_rest(const char *frames, size_t len, size_t written);

/* Writes the head of an unmasked (server's) frame, RFC 6455, section 5.2; returns car_ws_header_len(). `payload_len` is
 * below 2^63. */
size_t car_ws_header_write(char out[CAR_WS_HEADER_MAX], enum car_ws_opcode op, bool fin, bool rsv1,
                           uint64_t payload_len);

/*
 * Writes a whole close frame and returns its length. CAR_WS_NO_STATUS gives one without a payload; any other code must
 * be valid on the wire (asserted). The reason is valid UTF-8; one over CAR_WS_REASON_MAX bytes is cut at a
 * character's end.
 */
size_t car_ws_close_write(char out[CAR_WS_CLOSE_MAX], unsigned code, struct car_span reason);

#endif
