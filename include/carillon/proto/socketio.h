#ifndef CARILLON_PROTO_SOCKETIO_H
#define CARILLON_PROTO_SOCKETIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"
#include "carillon/proto/json.h"

/*
 * Socket.IO, revision 5 (socketio/socket.io-protocol), without I/O: packets as they lie in Engine.IO messages. One
 * thread at a time for a decoder; the functions without one are pure.
 */

enum car_socketio_type {
    CAR_SOCKETIO_CONNECT,
    CAR_SOCKETIO_DISCONNECT,
    CAR_SOCKETIO_EVENT,
    CAR_SOCKETIO_ACK,
    CAR_SOCKETIO_CONNECT_ERROR,
    CAR_SOCKETIO_BINARY_EVENT,
    CAR_SOCKETIO_BINARY_ACK,
};

/* The largest acknowledgement id: what a JavaScript client can count to. */
#define CAR_SOCKETIO_ID_MAX ((UINT64_C(1) << 53) - 1)

/* A packet; its spans are borrowed from what was read. */
struct car_socketio_packet {
    enum car_socketio_type type;
    struct car_span nsp;   /* begins with "/"; "/" where none is named; without its query */
    struct car_span query; /* what stands behind "?" in the namespace, not decoded; absent where there is none */
    bool has_id;
    uint64_t id;                /* at most CAR_SOCKETIO_ID_MAX */
    unsigned attachments;       /* that belong to it: of BINARY_EVENT and BINARY_ACK only */
    bool mended;                /* see car_socketio_decode */
    struct car_json_value data; /* validated; ABSENT where there is none */
};

/*
 * Reads a packet's text. What is accepted is what the reference parser accepts: CONNECT with an object or nothing,
 * DISCONNECT with nothing, CONNECT_ERROR with an object or a string, EVENT with an array whose first element is a
 * number or a string that is no reserved name (connect, connect_error, disconnect, disconnecting, newListener,
 * removeListener), ACK with an array; the binary types like the plain ones. Stricter than it: an EVENT or ACK without
 * an array, and an id over CAR_SOCKETIO_ID_MAX, are refused.
 *
 * CAR_EPROTO; CAR_ETOOBIG where there are more than `max_attachments`; CAR_ENOMEM.
 */
int car_socketio_read(struct car_span text, unsigned max_attachments, struct car_socketio_packet *packet);

/* Splits the data of an EVENT: its name, as it stands in the text (a string literal or a number), and its arguments:
 * what stands between the comma behind the name and the closing bracket, absent where there are none. */
void car_socketio_event(const struct car_socketio_packet *packet, struct car_json_value *name, struct car_span *args);

/* Appends what stands before a packet's JSON: its type, `attachments` where the type is binary, its namespace unless
 * that is "/", and *id unless `id` is NULL. */
void car_socketio_write_head(struct car_buf *out, enum car_socketio_type type, unsigned attachments,
                             struct car_span nsp, const uint64_t *id);

/* Bounds on one packet with attachments. */
struct car_socketio_limits {
    unsigned attachments; /* their number */
    size_t bytes;         /* all of them and the packet's text together */
};

struct car_socketio_pending;

/* Puts packets together with their attachments. Zero-initialised is empty; holds memory only for a packet that has
 * attachments, until the call after the last of them, or was mended. */
struct car_socketio_decoder {
    struct car_socketio_pending *pending;
};

/*
 * Takes one Engine.IO message. 0; where a packet is whole with it, *whole is true and *packet that packet: its spans
 * live as long as `message`, or, where it has attachments, until the next call, as these do. Placeholders
 * ({"_placeholder":true,"num":N}) that name no attachment make a packet unsound.
 *
 * JavaScript writes a string that was cut within a character as an escape that stands for nothing ("\\ud83d" alone).
 * Where nothing else is wrong, packet->mended is true, and U+FFFD stands in the place of each; its spans then live
 * until the next call.
 *
 * CAR_EPROTO: as car_socketio_read, text where an attachment is due, binary where none is, an unsound placeholder, one
 * nested deeper than 256 levels where there are attachments;
 * CAR_ETOOBIG: over a limit; CAR_ENOMEM. After an error the decoder is empty, and the connection is to be closed.
 */
int car_socketio_decode(struct car_socketio_decoder *decoder, const struct car_socketio_limits *limits, bool binary,
                        struct car_span message, struct car_socketio_packet *packet, bool *whole);

/* The bytes of attachment n, below packet->attachments, of the packet that the last call gave out. */
struct car_span car_socketio_attachment(const struct car_socketio_decoder *decoder, unsigned n);

/* Bytes of memory that are held. */
size_t car_socketio_decoder_kept(const struct car_socketio_decoder *decoder);

/* Frees what is held. Harmless when repeated. */
void car_socketio_decoder_free(struct car_socketio_decoder *decoder);

#endif
