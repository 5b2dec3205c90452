#include "out.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/blob.h"
#include "carillon/net/net.h"

#define SPARES_MAX 256

struct car_out *car_out_take(struct car_net_local *local) {
    struct car_out *out = local->spare;
    if (out) {
        local->spare = out->next_spare;
        local->spare_count--;
    } else {
        out = malloc(sizeof *out);
        if (!out) {
            return NULL;
        }
    }
    out->bytes = out->offset = 0;
    out->first = out->count = 0;
    out->cap = CAR_OUT_INLINE;
    out->blobs = out->few;
    return out;
}

void car_out_release(struct car_net_local *local, struct car_out **out) {
    struct car_out *o = *out;
    *out = NULL;
    if (!o) {
        return;
    }
    for (unsigned i = o->first; i < o->count; i++) {
        car_blob_unref(&o->blobs[i]);
    }
    if (o->blobs != o->few) {
        free(o->blobs);
    }
    if (local->spare_count < SPARES_MAX) {
        o->next_spare = local->spare;
        local->spare = o;
        local->spare_count++;
    } else {
        free(o);
    }
}

static bool grow(struct car_out *out) {
    unsigned cap = out->cap * 2;
    struct car_blob **blobs = malloc(cap * sizeof(struct car_blob *));
    if (!blobs) {
        return false;
    }
    memcpy(blobs, out->blobs, out->count * sizeof(struct car_blob *));
    if (out->blobs != out->few) {
        free(out->blobs);
    }
    out->blobs = blobs;
    out->cap = cap;
    return true;
}

bool car_out_add(struct car_out *out, struct car_blob *blob) {
    if (out->count == out->cap && !grow(out)) {
        return false;
    }
    out->blobs[out->count++] = car_blob_ref(blob);
    out->bytes += blob->len;
    return true;
}

unsigned car_out_pieces(const struct car_out *out, uv_buf_t *pieces, unsigned max) {
    unsigned n = 0;
    size_t offset = out->offset;
    for (unsigned i = out->first; i < out->count && n < max; i++) {
        struct car_blob *blob = out->blobs[i];
        pieces[n].base = blob->data + offset;
        pieces[n].len = blob->len - offset;
        n++;
        offset = 0;
    }
    return n;
}

void car_out_advance(struct car_out *out, size_t n) {
    out->bytes -= n;
    while (out->first < out->count) {
        struct car_blob *blob = out->blobs[out->first];
        size_t left = blob->len - out->offset;
        if (n < left) {
            out->offset += n;
            return;
        }
        n -= left;
        out->offset = 0;
        car_blob_unref(&out->blobs[out->first++]);
    }
}

void car_out_free_spares(struct car_net_local *local) {
    while (local->spare) {
        struct car_out *out = local->spare;
        local->spare = out->next_spare;
        free(out);
    }
    local->spare_count = 0;
}
