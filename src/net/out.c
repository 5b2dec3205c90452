#include "carillon/net/out.h"

#include <stdlib.h>
#include <string.h>

#include "carillon/base/blob.h"
#include "carillon/net/net.h"

#define INLINE     14
#define SPARES_MAX 256

/* A response or a few control frames fit into the first chunk; who writes more than that at a time gets large ones. */
#define CHUNK_SMALL 2048u
#define CHUNK_LARGE 16384u
#define LARGE_MAX   16

struct car_out_list {
    struct car_out_list *next_spare;
    size_t bytes;  /* not yet written */
    size_t offset; /* how much of blobs[first] has been written */
    size_t cut;    /* how much of its end will not be (car_out_cut) */
    struct car_held held;
    unsigned first, count, cap;
    struct car_blob **blobs; /* `few`, or on the heap where there are more; each holds a reference */
    struct car_blob *few[INLINE];
};

/* Chunks. What is in one was checked against the connection's owner when it was copied in. */

static const char CHUNK_MARK;

static bool is_chunk(const struct car_blob *blob) {
    return blob->owner == &CHUNK_MARK;
}

static struct car_blob *chunk_take(struct car_net_local *local, bool large) {
    struct car_chunks *chunks = large ? &local->large : &local->small;
    uint32_t size = large ? CHUNK_LARGE : CHUNK_SMALL;
    struct car_blob *chunk = chunks->count ? chunks->spare[--chunks->count] : car_blob_new(&CHUNK_MARK, size);
    if (chunk) {
        chunk->len = 0;
        chunk->room = size;
    }
    return chunk;
}

/* Drops a reference; a chunk has only the one. */
static void drop(struct car_net_local *local, struct car_blob *blob) {
    if (!is_chunk(blob)) {
        car_blob_unref(&blob);
        return;
    }
    bool large = blob->len + blob->room == CHUNK_LARGE;
    struct car_chunks *chunks = large ? &local->large : &local->small;
    if (chunks->count < (large ? LARGE_MAX : CAR_CHUNKS_MAX)) {
        chunks->spare[chunks->count++] = blob;
    } else {
        car_blob_unref(&blob);
    }
}

/* Lists. */

static struct car_out_list *list_take(struct car_net_local *local) {
    struct car_out_list *list = local->spare_lists;
    if (list) {
        local->spare_lists = list->next_spare;
        local->spare_list_count--;
    } else {
        list = malloc(sizeof *list);
        if (!list) {
            return NULL;
        }
    }
    list->bytes = list->offset = list->cut = 0;
    list->held = (struct car_held){0};
    list->first = list->count = 0;
    list->cap = INLINE;
    list->blobs = list->few;
    return list;
}

static void list_release(struct car_net_local *local, struct car_out *out) {
    struct car_out_list *list = out->list;
    out->list = NULL;
    car_net_hold(local, &list->held, NULL, 0);
    for (unsigned i = list->first; i < list->count; i++) {
        drop(local, list->blobs[i]);
    }
    if (list->blobs != list->few) {
        free(list->blobs);
    }
    if (local->spare_list_count < SPARES_MAX) {
        list->next_spare = local->spare_lists;
        local->spare_lists = list;
        local->spare_list_count++;
    } else {
        free(list);
    }
}

/* Makes room for one more: where the first ones have been written, or in twice as much memory. */
static bool grow(struct car_out_list *list) {
    if (list->first > 0) {
        list->count -= list->first;
        memmove(list->blobs, list->blobs + list->first, list->count * sizeof(struct car_blob *));
        list->first = 0;
        return true;
    }
    unsigned cap = list->cap * 2;
    struct car_blob **blobs = malloc(cap * sizeof(struct car_blob *));
    if (!blobs) {
        return false;
    }
    memcpy(blobs, list->blobs, list->count * sizeof(struct car_blob *));
    if (list->blobs != list->few) {
        free(list->blobs);
    }
    list->blobs = blobs;
    list->cap = cap;
    return true;
}

/* Turns what is there into a list. false where memory ran out. */
static bool spread(struct car_net_local *local, struct car_out *out) {
    if (out->list) {
        return true;
    }
    struct car_out_list *list = list_take(local);
    if (!list) {
        return false;
    }
    if (out->only) {
        list->blobs[list->count++] = out->only;
        list->bytes = out->only->len;
        out->only = NULL;
    }
    out->list = list;
    return true;
}

/* Takes over the reference where it succeeds. */
static bool append(struct car_net_local *local, struct car_out *out, struct car_blob *blob) {
    if (car_out_is_empty(out)) {
        out->only = blob;
        return true;
    }
    if (!spread(local, out) || (out->list->count == out->list->cap && !grow(out->list))) {
        return false;
    }
    out->list->blobs[out->list->count++] = blob;
    out->list->bytes += blob->len;
    return true;
}

bool car_out_add(struct car_net_local *local, struct car_out *out, struct car_blob *blob) {
    if (!append(local, out, car_blob_ref(blob))) {
        car_blob_unref(&blob);
        return false;
    }
    return true;
}

/* The last blob; NULL where there is none. */
static struct car_blob *last_of(const struct car_out *out) {
    return out->list ? out->list->blobs[out->list->count - 1] : out->only;
}

/* A blob of its own for `len` bytes: a chunk, or, where no chunk holds as many, one of just that size. */
static struct car_blob *fresh(struct car_net_local *local, const struct car_blob *last, size_t len) {
    if (len > CHUNK_LARGE) {
        struct car_blob *blob = car_blob_new(NULL, len);
        if (blob) {
            blob->len = 0;
            blob->room = (uint32_t)len;
        }
        return blob;
    }
    return chunk_take(local, last || len > CHUNK_SMALL);
}

static void fill(struct car_blob *blob, const void *bytes, size_t len) {
    memcpy(blob->data + blob->len, bytes, len);
    blob->len += len;
    blob->room -= (uint32_t)len;
}

bool car_out_copy(struct car_net_local *local, struct car_out *out, const void *bytes, size_t len) {
    struct car_blob *last = last_of(out);
    if (len == 0) {
        return true;
    }
    if (last && len <= last->room) {
        fill(last, bytes, len);
        if (out->list) {
            out->list->bytes += len;
        }
        return true;
    }
    struct car_blob *blob = len <= UINT32_MAX ? fresh(local, last, len) : NULL;
    if (!blob) {
        return false;
    }
    fill(blob, bytes, len);
    if (!append(local, out, blob)) {
        drop(local, blob);
        return false;
    }
    return true;
}

size_t car_out_bytes(const struct car_out *out) {
    return out->list ? out->list->bytes : out->only ? out->only->len : 0;
}

int car_out_pieces(const struct car_out *out, struct iovec *pieces, int max) {
    if (out->only) {
        pieces[0] = (struct iovec){.iov_base = out->only->data, .iov_len = out->only->len};
        return 1;
    }
    int n = 0;
    size_t offset = out->list ? out->list->offset : 0;
    size_t cut = out->list ? out->list->cut : 0;
    for (unsigned i = out->list ? out->list->first : 0; out->list && i < out->list->count && n < max; i++) {
        struct car_blob *blob = out->list->blobs[i];
        pieces[n++] = (struct iovec){.iov_base = blob->data + offset, .iov_len = blob->len - offset - cut};
        offset = cut = 0;
    }
    return n;
}

bool car_out_advance(struct car_net_local *local, struct car_out *out, size_t n) {
    if (out->only && n == out->only->len) {
        drop(local, out->only);
        out->only = NULL;
        return true;
    }
    if (!spread(local, out)) {
        return false;
    }
    struct car_out_list *list = out->list;
    list->bytes -= n;
    while (list->first < list->count) {
        struct car_blob *blob = list->blobs[list->first];
        size_t left = blob->len - list->offset - list->cut;
        if (n < left) {
            list->offset += n;
            return true;
        }
        n -= left;
        list->offset = list->cut = 0;
        list->first++;
        drop(local, blob);
    }
    list_release(local, out);
    return true;
}

static size_t part_of(struct car_blob *blob) {
    unsigned refs = atomic_load_explicit(&blob->refs, memory_order_relaxed);
    return (sizeof *blob + blob->len + blob->room) / (refs ? refs : 1);
}

void car_out_hold(struct car_net_local *local, struct car_out *out, const void *owner) {
    if (!owner || !local->net->owners || car_out_is_empty(out) || !spread(local, out)) {
        return;
    }
    size_t bytes = sizeof *out->list;
    for (unsigned i = out->list->first; i < out->list->count; i++) {
        bytes += part_of(out->list->blobs[i]);
    }
    car_net_hold(local, &out->list->held, owner, bytes);
}

size_t car_out_held(const struct car_out *out) {
    return out->list ? out->list->held.bytes : 0;
}

struct car_blob *car_out_first(const struct car_out *out, size_t *written) {
    *written = out->list ? out->list->offset : 0;
    return out->list && out->list->first < out->list->count ? out->list->blobs[out->list->first] : out->only;
}

/* A blob that others have as well costs nothing more than it does anyway; one's own is let go of for a copy. */
static bool keep_rest(struct car_net_local *local, struct car_out *out, struct car_blob *first, size_t written,
                      size_t rest) {
    if (atomic_load_explicit(&first->refs, memory_order_relaxed) == 1) {
        return car_out_copy(local, out, first->data + written, rest);
    }
    if (!car_out_add(local, out, first)) {
        return false;
    }
    if (!spread(local, out)) {
        car_out_clear(local, out);
        return false;
    }
    out->list->bytes = rest;
    out->list->offset = written;
    out->list->cut = first->len - written - rest;
    return true;
}

bool car_out_cut(struct car_net_local *local, struct car_out *out, size_t rest) {
    size_t written;
    struct car_blob *first = car_out_first(out, &written);
    struct car_out kept = {0};
    bool good = !first || rest == 0 || keep_rest(local, &kept, first, written, rest);
    car_out_clear(local, out);
    *out = kept;
    return good;
}

void car_out_clear(struct car_net_local *local, struct car_out *out) {
    if (out->only) {
        drop(local, out->only);
        out->only = NULL;
    }
    if (out->list) {
        list_release(local, out);
    }
}

static void free_chunks(struct car_chunks *chunks) {
    while (chunks->count) {
        car_blob_unref(&chunks->spare[--chunks->count]);
    }
}

void car_out_free_spares(struct car_net_local *local) {
    free_chunks(&local->small);
    free_chunks(&local->large);
    while (local->spare_lists) {
        struct car_out_list *list = local->spare_lists;
        local->spare_lists = list->next_spare;
        free(list);
    }
    local->spare_list_count = 0;
}
