#include "carillon/proto/deflate.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "carillon/base/err.h"
#include "deflate_memory.h"

enum {
    SIZES = CAR_DEFLATE_BITS_MAX - CAR_DEFLATE_BITS_MIN + 1,
    MEM_LEVEL = 8,   /* zlib's default */
    FLUSH_TAIL = 4,  /* the 00 00 ff ff that ends a flush and is not sent */
    FLUSH_ROOM = 16, /* zlib wants over 6 bytes for the marker of a flush */
};

struct car_deflater {
    int level;
    size_t memory;
    z_stream *streams[SIZES]; /* by window size; NULL until used */
};

struct car_deflater *car_deflater_new(int level) {
    struct car_deflater *deflater = calloc(1, sizeof *deflater);
    if (deflater) {
        deflater->level = level;
    }
    return deflater;
}

void car_deflater_free(struct car_deflater **deflater) {
    struct car_deflater *def = *deflater;
    if (!def) {
        return;
    }
    for (size_t i = 0; i < SIZES; i++) {
        if (def->streams[i]) {
            deflateEnd(def->streams[i]);
            free(def->streams[i]);
        }
    }
    free(def);
    *deflater = NULL;
}

size_t car_deflater_memory(const struct car_deflater *deflater) {
    size_t total = sizeof *deflater + deflater->memory;
    for (size_t i = 0; i < SIZES; i++) {
        total += deflater->streams[i] ? sizeof(z_stream) : 0;
    }
    return total;
}

/* The stream for a window size, ready for a message. NULL where memory ran out. */
static z_stream *stream_for(struct car_deflater *def, unsigned window_bits) {
    z_stream **slot = &def->streams[window_bits - CAR_DEFLATE_BITS_MIN];
    if (*slot) {
        return deflateReset(*slot) == Z_OK ? *slot : NULL;
    }
    z_stream *z = calloc(1, sizeof *z);
    if (!z) {
        return NULL;
    }
    car_zlib_count_memory(z, &def->memory);
    if (deflateInit2(z, def->level, Z_DEFLATED, -(int)window_bits, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(z);
        return NULL;
    }
    *slot = z;
    return z;
}

/* Compresses what stream.next_in holds, up to a flush where it is the last part. */
static int deflate_input(z_stream *z, int flush, struct car_buf *out) {
    do {
        int err = car_buf_reserve(out, FLUSH_ROOM);
        if (err) {
            return err;
        }
        size_t room = out->cap - out->len;
        z->next_out = (unsigned char *)out->data + out->len;
        z->avail_out = room > UINT_MAX ? UINT_MAX : (unsigned)room;
        if (deflate(z, flush) == Z_STREAM_ERROR) {
            return CAR_EINVAL;
        }
        out->len = (size_t)((char *)z->next_out - out->data);
    } while (z->avail_out == 0);
    return CAR_OK;
}

static int deflate_all(z_stream *z, struct car_span in, struct car_buf *out) {
    int err = car_buf_reserve(out, deflateBound(z, in.len) + FLUSH_ROOM);
    while (in.len > 0 && !err) {
        /* Without ZLIB_CONST next_in is not const, though zlib never writes through it. */
        unsigned part = in.len > UINT_MAX ? UINT_MAX : (unsigned)in.len;
        z->next_in = (unsigned char *)(uintptr_t)in.ptr;
        z->avail_in = part;
        in = car_span_of(in.ptr + part, in.len - part);
        err = deflate_input(z, in.len > 0 ? Z_NO_FLUSH : Z_SYNC_FLUSH, out);
    }
    return err;
}

int car_deflate(struct car_deflater *deflater, unsigned window_bits, struct car_span in, struct car_buf *out) {
    if (window_bits < CAR_DEFLATE_BITS_MIN || window_bits > CAR_DEFLATE_BITS_MAX) {
        return CAR_EINVAL;
    }
    if (in.len == 0) {
        int err = car_buf_reserve(out, 1);
        car_buf_char(out, 0);
        return err;
    }
    z_stream *z = stream_for(deflater, window_bits);
    if (!z) {
        return CAR_ENOMEM;
    }
    size_t start = out->len;
    int err = deflate_all(z, in, out);
    out->len = err ? start : out->len - FLUSH_TAIL;
    return err;
}
