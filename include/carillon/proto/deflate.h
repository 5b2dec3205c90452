#ifndef CARILLON_PROTO_DEFLATE_H
#define CARILLON_PROTO_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "carillon/base/buf.h"
#include "carillon/base/span.h"

/*
 * The compression of permessage-deflate (RFC 7692, section 7.2), always without context takeover, so that one zlib
 * stream serves all connections of a thread and a message compressed once fits every connection with the same window.
 * An inflater or deflater belongs to one thread.
 */

enum {
    CAR_DEFLATE_BITS_MIN = 9, /* zlib's raw deflate can't make a window of 8 bits */
    CAR_DEFLATE_BITS_MAX = 15,
};

struct car_inflater;
struct car_deflater;

/* NULL where memory ran out. zlib's state (about 40 KiB) is made by the first message. */
struct car_inflater *car_inflater_new(void);
void car_inflater_free(struct car_inflater **inflater);

/* Bytes of heap held: zlib's state, and the scratch that the WebSocket parser inflates into. */
size_t car_inflater_memory(const struct car_inflater *inflater);

/*
 * Appends the decompressed payload of one message to `out` (RFC 7692, section 7.2.2): adds the 00 00 ff ff that the
 * sender removed, goes on after blocks with BFINAL (7.2.3.4), takes windows up to 32 KiB. Lenient in one thing: a
 * payload that ends with a block, on a byte's end, is whole without the tail; so is an empty one.
 *
 * CAR_EPROTO: not DEFLATE data, or cut short. CAR_ETOOBIG: more than `max_out` bytes; found after max_out + 1 at most.
 * CAR_ENOMEM. After an error `out` holds at its end what came before it. Memory and work are bounded by `in.len` and
 * `max_out`, whatever the input claims.
 */
int car_inflate(struct car_inflater *inflater, struct car_span in, size_t max_out, struct car_buf *out);

/* `level` is zlib's, 1 (fastest) to 9. NULL where memory ran out. zlib's state (up to 268 KiB for each window size) is
 * made by the first message of that size. */
struct car_deflater *car_deflater_new(int level);
void car_deflater_free(struct car_deflater **deflater);

/* Bytes of heap held. */
size_t car_deflater_memory(const struct car_deflater *deflater);

/*
 * Appends the compressed payload of one message to `out` (RFC 7692, section 7.2.1): flushed to a byte's end, with the
 * trailing 00 00 ff ff removed; an empty message is the one byte 00 (7.2.3.6). `window_bits` is CAR_DEFLATE_BITS_MIN
 * to CAR_DEFLATE_BITS_MAX, CAR_EINVAL otherwise. CAR_ENOMEM. After an error `out` is as long as before.
 */
int car_deflate(struct car_deflater *deflater, unsigned window_bits, struct car_span in, struct car_buf *out);

#endif
