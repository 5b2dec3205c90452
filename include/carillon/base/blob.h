#ifndef CARILLON_BASE_BLOB_H
#define CARILLON_BASE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Immutable bytes shared by reference, in one allocation. Made and filled by one thread, then read by any; the last
 * unref frees it, on whichever thread that is.
 *
 * `owner` tags whose bytes these are (a tenant, compared by address and never followed); NULL for bytes that belong to
 * nobody in particular. The write boundary refuses a tagged blob on a connection of another owner.
 */
struct car_blob {
    atomic_uint refs;
    uint32_t room; /* bytes that its only holder may still append, behind len; 0 for a blob that is shared */
    const void *owner;
    size_t len; /* len + room never changes */
    char data[];
};

/* A blob of `len` bytes, not yet filled, with one reference. NULL where memory ran out. */
struct car_blob *car_blob_new(const void *owner, size_t len);

/* A blob with a copy of `bytes`. NULL where memory ran out. */
struct car_blob *car_blob_copy(const void *owner, const void *bytes, size_t len);

struct car_blob *car_blob_ref(struct car_blob *blob);

/* Drops the reference and nulls the pointer; NULL inside is allowed. */
void car_blob_unref(struct car_blob **blob);

#endif
