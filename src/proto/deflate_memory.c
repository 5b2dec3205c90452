#include "deflate_memory.h"

#include <stdlib.h>

/* Ahead of each block, as wide as malloc's alignment. */
union head {
    size_t size;
    max_align_t align;
};

static void *counted_alloc(void *total, unsigned items, unsigned size) {
    size_t bytes = (size_t)items * size + sizeof(union head);
    union head *block = malloc(bytes);
    if (!block) {
        return NULL;
    }
    block->size = bytes;
    *(size_t *)total += bytes;
    return block + 1;
}

static void counted_free(void *total, void *address) {
    union head *block = (union head *)address - 1;
    *(size_t *)total -= block->size;
    free(block);
}

void car_zlib_count_memory(z_stream *stream, size_t *total) {
    stream->zalloc = counted_alloc;
    stream->zfree = counted_free;
    stream->opaque = total;
}
