#ifndef CARILLON_NET_OUT_H
#define CARILLON_NET_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct car_blob;
struct car_net_local;

#define CAR_OUT_INLINE 14

/* A list of blobs on their way to one socket. Exists only while something waits; spare ones are kept by the worker, so
 * that output costs no allocation. Each blob holds a reference. */
struct car_out {
    struct car_out *next_spare;
    uv_write_t req;
    size_t bytes;  /* not yet written */
    size_t offset; /* how much of blobs[first] has been written */
    unsigned first, count, cap;
    struct car_blob **blobs; /* `few`, or on the heap where there are more */
    struct car_blob *few[CAR_OUT_INLINE];
};

/* NULL where memory ran out. */
struct car_out *car_out_take(struct car_net_local *local);

/* Drops the references and gives the list back. Nulls the pointer; NULL inside is allowed. */
void car_out_release(struct car_net_local *local, struct car_out **out);

/* Takes a reference. false where memory ran out. */
bool car_out_add(struct car_out *out, struct car_blob *blob);

/* Up to `max` pieces of what is not yet written. Returns how many. */
unsigned car_out_pieces(const struct car_out *out, uv_buf_t *pieces, unsigned max);

/* `n` bytes have been written. */
void car_out_advance(struct car_out *out, size_t n);

/* Frees the spare lists. */
void car_out_free_spares(struct car_net_local *local);

#endif
