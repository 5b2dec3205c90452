#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/proto/socketio.h"

#include "socketio_placeholders.h"

/* A packet with attachments: its text, and those that have come so far, back to back. */
struct car_socketio_pending {
    struct car_socketio_packet packet;
    struct car_buf text;
    struct car_buf bytes;
    unsigned count;
    bool whole;    /* it has been given out */
    size_t ends[]; /* of each attachment, in `bytes` */
};

void car_socketio_decoder_free(struct car_socketio_decoder *decoder) {
    struct car_socketio_pending *pending = decoder->pending;
    decoder->pending = NULL;
    if (pending) {
        car_buf_free(&pending->text);
        car_buf_free(&pending->bytes);
        free(pending);
    }
}

/* The packet that announces attachments is kept. */
static int keep(struct car_socketio_decoder *decoder, const struct car_socketio_packet *packet, struct car_span text) {
    if (!car_socketio_placeholders_sound(&packet->data, packet->attachments)) {
        return CAR_EPROTO;
    }
    struct car_socketio_pending *pending = calloc(1, sizeof *pending + packet->attachments * sizeof pending->ends[0]);
    if (!pending) {
        return CAR_ENOMEM;
    }
    decoder->pending = pending;
    car_buf_span(&pending->text, text);
    return pending->text.failed
               ? CAR_ENOMEM
               : car_socketio_read(car_buf_view(&pending->text), packet->attachments, &pending->packet);
}

static int take_text(struct car_socketio_decoder *decoder, const struct car_socketio_limits *limits,
                     struct car_span text, struct car_socketio_packet *packet, bool *whole) {
    if (decoder->pending) {
        return CAR_EPROTO;
    }
    if (text.len > limits->bytes) {
        return CAR_ETOOBIG;
    }
    int err = car_socketio_read(text, limits->attachments, packet);
    *whole = !err && packet->attachments == 0;
    return err || *whole ? err : keep(decoder, packet, text);
}

static int take_binary(struct car_socketio_pending *pending, const struct car_socketio_limits *limits,
                       struct car_span bytes, struct car_socketio_packet *packet, bool *whole) {
    if (!pending) {
        return CAR_EPROTO;
    }
    if (bytes.len > limits->bytes || pending->text.len + pending->bytes.len > limits->bytes - bytes.len) {
        return CAR_ETOOBIG;
    }
    car_buf_span(&pending->bytes, bytes);
    if (pending->bytes.failed) {
        return CAR_ENOMEM;
    }
    pending->ends[pending->count++] = pending->bytes.len;
    if (pending->count == pending->packet.attachments) {
        *packet = pending->packet;
        *whole = pending->whole = true;
    }
    return 0;
}

int car_socketio_decode(struct car_socketio_decoder *decoder, const struct car_socketio_limits *limits, bool binary,
                        struct car_span message, struct car_socketio_packet *packet, bool *whole) {
    *whole = false;
    if (decoder->pending && decoder->pending->whole) {
        car_socketio_decoder_free(decoder);
    }
    int err = binary ? take_binary(decoder->pending, limits, message, packet, whole)
                     : take_text(decoder, limits, message, packet, whole);
    if (err) {
        *whole = false;
        car_socketio_decoder_free(decoder);
    }
    return err;
}

struct car_span car_socketio_attachment(const struct car_socketio_decoder *decoder, unsigned n) {
    const struct car_socketio_pending *pending = decoder->pending;
    size_t start = n ? pending->ends[n - 1] : 0;
    return car_span_of(pending->bytes.data ? pending->bytes.data + start : "", pending->ends[n] - start);
}
