#include "carillon/base/blob.h"

#include <stdint.h>
#include <string.h>

#include "carillon/base/block.h"

struct car_blob *car_blob_new(const void *owner, size_t len) {
    if (len > SIZE_MAX / 2 - sizeof(struct car_blob)) {
        return NULL;
    }
    struct car_blob *blob = car_block_new(sizeof *blob + len);
    if (!blob) {
        return NULL;
    }
    atomic_init(&blob->refs, 1);
    blob->room = 0;
    blob->owner = owner;
    blob->len = len;
    return blob;
}

struct car_blob *car_blob_copy(const void *owner, const void *bytes, size_t len) {
    struct car_blob *blob = car_blob_new(owner, len);
    if (blob && len > 0) {
        memcpy(blob->data, bytes, len);
    }
    return blob;
}

struct car_blob *car_blob_ref(struct car_blob *blob) {
    /* Relaxed: whoever refs holds a reference already, so nothing is published by this. */
    atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    return blob;
}

void car_blob_unref(struct car_blob **slot) {
    struct car_blob *blob = *slot;
    *slot = NULL;
    /* Release: this thread's reads of the bytes end before the free; acquire: the freeing thread sees that they did. */
    if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1) {
        car_block_free(blob, sizeof *blob + blob->len + blob->room);
    }
}
