#ifndef CARILLON_PROTO_ENGINEIO_H
#define CARILLON_PROTO_ENGINEIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * Engine.IO, revision 4 (socketio/engine.io-protocol), without I/O: packets as they lie in WebSocket messages and in
 * the payloads of HTTP long-polling. Pure functions; any thread.
 */

enum car_engineio_type {
    CAR_ENGINEIO_OPEN,
    CAR_ENGINEIO_CLOSE,
    CAR_ENGINEIO_PING,
    CAR_ENGINEIO_PONG,
    CAR_ENGINEIO_MESSAGE,
    CAR_ENGINEIO_UPGRADE,
    CAR_ENGINEIO_NOOP,
};

/* Between the packets of a payload. */
#define CAR_ENGINEIO_SEPARATOR '\x1e'

/* A packet; `data` is borrowed. Only a message can be binary. */
struct car_engineio_packet {
    enum car_engineio_type type;
    bool binary;
    struct car_span data;
};

/* Reads the text of a WebSocket message: a digit, and the data behind it. A binary WebSocket message needs no reading:
 * it is a message's data. CAR_EPROTO where it is empty or the type unknown. */
int car_engineio_read(struct car_span text, struct car_engineio_packet *packet);

/* Reads one packet of a payload: the same, or `b` and standard base64 with padding (RFC 4648, section 4) for a binary
 * message, which is decoded into `scratch` (emptied first) and borrowed from it. CAR_EPROTO; CAR_ENOMEM. */
int car_engineio_read_polled(struct car_span text, struct car_buf *scratch, struct car_engineio_packet *packet);

/* Takes the next packet's text off the front of *rest, and its separator. false once *rest is absent, which it is after
 * the last packet. What is empty, between two separators, behind the last, or as a whole, is given out as a packet (and
 * car_engineio_read refuses it). */
bool car_engineio_next(struct car_span *rest, struct car_span *text);

/* Appends a text packet. */
void car_engineio_write(struct car_buf *out, enum car_engineio_type type, struct car_span data);

/* Appends a binary message in its form for payloads. */
void car_engineio_write_base64(struct car_buf *out, struct car_span bytes);

/* What the server says of itself in the open packet. */
struct car_engineio_handshake {
    struct car_span sid; /* without characters that JSON escapes */
    bool upgrades;       /* to WebSocket */
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    size_t max_payload; /* bytes */
};

/* Appends the open packet. */
void car_engineio_write_open(struct car_buf *out, const struct car_engineio_handshake *handshake);

/* Why a request is refused: the codes of the reference server, as the answer's JSON has them. */
enum car_engineio_error {
    CAR_ENGINEIO_UNKNOWN_TRANSPORT,
    CAR_ENGINEIO_UNKNOWN_SID,
    CAR_ENGINEIO_BAD_METHOD,
    CAR_ENGINEIO_BAD_REQUEST,
    CAR_ENGINEIO_FORBIDDEN,
    CAR_ENGINEIO_UNSUPPORTED_VERSION,
};

/* The whole JSON text of a refusal: {"code":5,"message":"Unsupported protocol version"}. Static. */
struct car_span car_engineio_error_json(enum car_engineio_error error);

#endif
