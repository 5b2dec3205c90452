#ifndef CARILLON_NET_OUT_H
#define CARILLON_NET_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct car_blob;
struct car_net_local;
struct car_out_list;

/*
 * What waits for one socket, in order: blobs that are shared with other sockets, and chunks, which are blobs of this
 * one alone that small writes are copied into one after the other. Usually it is a single blob, which costs no list.
 * Chunks and lists that are not in use are kept by the worker, so that output allocates nothing. Zero-initialised is
 * empty.
 */
struct car_out {
    struct car_blob *only;     /* all there is, whole */
    struct car_out_list *list; /* where there is more, or where a part has been written; `only` is NULL then */
};

/* Takes a reference. false where memory ran out. */
bool car_out_add(struct car_net_local *local, struct car_out *out, struct car_blob *blob);

/* Appends a copy of the bytes. false where memory ran out. */
bool car_out_copy(struct car_net_local *local, struct car_out *out, const void *bytes, size_t len);

static inline bool car_out_is_empty(const struct car_out *out) {
    return !out->only && !out->list;
}

/* How many bytes wait. */
size_t car_out_bytes(const struct car_out *out);

/* Up to `max` pieces of what waits. Returns how many. */
int car_out_pieces(const struct car_out *out, struct iovec *pieces, int max);

/* The first `n` bytes have been written. false where memory ran out: what waits is then not to be trusted. */
bool car_out_advance(struct car_net_local *local, struct car_out *out, size_t n);

/* The socket takes no more: counts what waits as memory of the owner's (net.h), a blob that several sockets share in
 * equal parts. Repeated, it counts what has come or gone since. Where memory runs out, nothing is counted. */
void car_out_hold(struct car_net_local *local, struct car_out *out, const void *owner);

/* What is counted. */
size_t car_out_held(const struct car_out *out);

/* The blob that stands first, and how much of it has been written; NULL where nothing waits. */
struct car_blob *car_out_first(const struct car_out *out, size_t *written);

/* Drops what waits, but for the first `rest` bytes of those of the first blob that have not been written. false where
 * memory ran out: then nothing waits. */
bool car_out_cut(struct car_net_local *local, struct car_out *out, size_t rest);

/* Drops what waits. */
void car_out_clear(struct car_net_local *local, struct car_out *out);

/* Frees the worker's spares. */
void car_out_free_spares(struct car_net_local *local);

#endif
