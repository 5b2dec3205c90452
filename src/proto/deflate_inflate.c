#include "deflate_scratch.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "carillon/base/err.h"
#include "deflate_memory.h"

enum {
    SCRATCH_KEPT = 64 * 1024, /* bytes of scratch kept between messages */
    FIRST_CHUNK = 4096,       /* bytes of output made room for at first */
};

struct car_inflater {
    z_stream stream;
    bool ready;
    size_t memory;
    struct car_buf scratch;
};

struct car_inflater *car_inflater_new(void) {
    return calloc(1, sizeof(struct car_inflater));
}

void car_inflater_free(struct car_inflater **inflater) {
    struct car_inflater *inf = *inflater;
    if (!inf) {
        return;
    }
    if (inf->ready) {
        inflateEnd(&inf->stream);
    }
    car_buf_free(&inf->scratch);
    free(inf);
    *inflater = NULL;
}

size_t car_inflater_memory(const struct car_inflater *inflater) {
    return sizeof *inflater + inflater->memory + inflater->scratch.cap;
}

struct car_buf car_inflater_take_scratch(struct car_inflater *inflater) {
    struct car_buf scratch = inflater->scratch;
    inflater->scratch = CAR_BUF_INIT;
    return scratch;
}

void car_inflater_give_scratch(struct car_inflater *inflater, struct car_buf *scratch) {
    if (scratch->failed || scratch->cap > SCRATCH_KEPT || inflater->scratch.cap > 0) {
        car_buf_free(scratch);
        return;
    }
    inflater->scratch = *scratch;
    inflater->scratch.len = 0;
    *scratch = CAR_BUF_INIT;
}

static int make_ready(struct car_inflater *inf) {
    if (inf->ready) {
        return inflateReset(&inf->stream) == Z_OK ? CAR_OK : CAR_EINVAL;
    }
    inf->stream = (z_stream){0};
    car_zlib_count_memory(&inf->stream, &inf->memory);
    if (inflateInit2(&inf->stream, -CAR_DEFLATE_BITS_MAX) != Z_OK) {
        return CAR_ENOMEM;
    }
    inf->ready = true;
    return CAR_OK;
}

/* Makes room that doubles with what there is, so that the copies stay linear, and offers it to zlib: at most one byte
 * over the bound, which tells a message that is too big from one that fits exactly. */
static int offer_room(z_stream *z, struct car_buf *out, size_t made, size_t max_out) {
    size_t want = made < FIRST_CHUNK ? FIRST_CHUNK : made;
    size_t bound = max_out - made;
    if (want > bound) {
        want = bound < SIZE_MAX ? bound + 1 : bound;
    }
    int err = car_buf_reserve(out, want);
    if (err) {
        return err;
    }
    z->next_out = (unsigned char *)out->data + out->len;
    z->avail_out = want > UINT_MAX ? UINT_MAX : (unsigned)want;
    return CAR_OK;
}

/* Whether zlib stands between two blocks with no bit of input left over: data_type says so after each call of
 * inflate() that found something to do. Bit 7 is the block's end, the lowest six are the count of unused bits. */
static bool at_block_end(const z_stream *z) {
    return (z->data_type & (128 | 63)) == 128;
}

/* Inflates a part of a message that begins at `start` in `out`. *whole: whether the message might end here. */
static int inflate_part(struct car_inflater *inf, const unsigned char *part, unsigned len, size_t start, size_t max_out,
                        struct car_buf *out, bool *whole) {
    z_stream *z = &inf->stream;
    /* Without ZLIB_CONST next_in is not const, though zlib never writes through it. */
    z->next_in = (unsigned char *)(uintptr_t)part;
    z->avail_in = len;
    do {
        int err = offer_room(z, out, out->len - start, max_out);
        if (err) {
            return err;
        }
        const unsigned char *from = z->next_in;
        size_t had = out->len;
        int result = inflate(z, Z_SYNC_FLUSH);
        out->len = (size_t)((char *)z->next_out - out->data);
        /* A call that found nothing to do, as after output that filled its room exactly, clears the bit. */
        bool idle = z->next_in == from && out->len == had;
        *whole = at_block_end(z) || (idle && *whole);
        if (out->len - start > max_out) {
            return CAR_ETOOBIG;
        }
        if (result == Z_STREAM_END) {
            /* A block with BFINAL ends zlib's stream but not the message; the window stays, as distances count from
             * the message's start. */
            *whole = true;
            result = inflateResetKeep(z);
        }
        if (result == Z_MEM_ERROR) {
            return CAR_ENOMEM;
        }
        if (result != Z_OK && result != Z_BUF_ERROR) {
            return CAR_EPROTO;
        }
    } while (z->avail_in > 0 || z->avail_out == 0);
    return CAR_OK;
}

int car_inflate(struct car_inflater *inflater, struct car_span in, size_t max_out, struct car_buf *out) {
    static const unsigned char tail[4] = {0x00, 0x00, 0xff, 0xff};
    int err = make_ready(inflater);
    if (err) {
        return err;
    }
    size_t start = out->len;
    bool whole = true;
    while (in.len > 0 && !err) {
        unsigned part = in.len > UINT_MAX ? UINT_MAX : (unsigned)in.len;
        err = inflate_part(inflater, (const unsigned char *)in.ptr, part, start, max_out, out, &whole);
        in = car_span_of(in.ptr + part, in.len - part);
    }
    /* A message that stops at a block's end needs no tail, and with it would seem cut short. Senders end so whose last
     * fragment is empty after a flush in full, or that end on a BFINAL block without the octet that 7.2.3.4 adds. */
    if (!err && !whole) {
        err = inflate_part(inflater, tail, sizeof tail, start, max_out, out, &whole);
    }
    return !err && !whole ? CAR_EPROTO : err;
}
