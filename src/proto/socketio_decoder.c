#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/proto/socketio.h"

#include "json_chars.h"
#include "socketio_placeholders.h"

/* A packet that is kept: its text, and the attachments that have come so far, back to back. */
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

size_t car_socketio_decoder_kept(const struct car_socketio_decoder *decoder) {
    const struct car_socketio_pending *pending = decoder->pending;
    return pending ? sizeof *pending + pending->packet.attachments * sizeof pending->ends[0] + pending->text.cap +
                         pending->bytes.cap
                   : 0;
}

/* The UTF-16 unit that the escape at `p` stands for; -1 where it is none of those. */
static int unit_of(const char *p, const char *end) {
    return end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? json_hex4(p + 2, end) : -1;
}

/* Puts U+FFFD in the place of each half that stands alone. Whether there were any. */
static bool mend(struct car_buf *text) {
    const char *end = text->data + text->len;
    bool mended = false;
    for (char *p = text->data; p < end;) {
        int unit = unit_of(p, end);
        if (json_is_high_surrogate(unit) && json_is_low_surrogate(unit_of(p + 6, end))) {
            p += 12;
        } else if (json_is_high_surrogate(unit) || json_is_low_surrogate(unit)) {
            memcpy(p + 2, "fffd", 4);
            mended = true;
            p += 6;
        } else {
            p += *p == '\\' && p + 1 < end ? 2 : 1; /* what is escaped begins no escape */
        }
    }
    return mended;
}

/* Takes the text over, and what it says. */
static int keep(struct car_socketio_decoder *decoder, const struct car_socketio_limits *limits, struct car_buf *text,
                struct car_socketio_packet *packet) {
    int err = text->failed ? CAR_ENOMEM : car_socketio_read(car_buf_view(text), limits->attachments, packet);
    if (!err && packet->attachments && !car_socketio_placeholders_sound(&packet->data, packet->attachments)) {
        err = CAR_EPROTO;
    }
    struct car_socketio_pending *pending =
        err ? NULL : calloc(1, sizeof *pending + packet->attachments * sizeof pending->ends[0]);
    if (!pending) {
        car_buf_free(text);
        return err ? err : CAR_ENOMEM;
    }
    pending->text = *text;
    decoder->pending = pending;
    return 0;
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
    if (*whole || text.len == 0 || (err && err != CAR_EPROTO)) {
        return err;
    }
    struct car_buf copy = CAR_BUF_INIT;
    car_buf_span(&copy, text);
    bool mended = err && !copy.failed && mend(&copy);
    if (err && !mended) {
        car_buf_free(&copy);
        return err;
    }
    err = keep(decoder, limits, &copy, packet);
    if (!err) {
        packet->mended = mended;
        decoder->pending->packet = *packet;
        *whole = decoder->pending->whole = packet->attachments == 0;
    }
    return err;
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
