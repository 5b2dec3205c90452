#include "carillon/base/block.h"

#include <stdlib.h>

/* Sizes are rounded up to whole cache lines; above CLASSES lines there is nothing to gain. */
#define LINE     64u
#define CLASSES  16u
#define KEPT_MAX 256u /* blocks of a size, so that a thread keeps two megabytes at the very most */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEP 0 /* a sanitizer wants to see every block come and go */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KEEP 0
#endif
#endif
#ifndef KEEP
#define KEEP 1
#endif

struct kept {
    struct kept *next;
};

static _Thread_local struct {
    struct kept *first;
    unsigned count;
} kept[CLASSES];

static size_t class_of(size_t size) {
    return (size + LINE - 1) / LINE - 1; /* of 0 as well: more than any class */
}

void *car_block_new(size_t size) {
    size_t class = class_of(size);
    if (!KEEP || class >= CLASSES) {
        return malloc(size);
    }
    struct kept *block = kept[class].first;
    if (!block) {
        return malloc((class + 1) * LINE);
    }
    kept[class].first = block->next;
    kept[class].count--;
    return block;
}

void car_block_free(void *block, size_t size) {
    size_t class = class_of(size);
    if (!KEEP || !block || class >= CLASSES || kept[class].count >= KEPT_MAX) {
        free(block);
        return;
    }
    struct kept *first = block;
    first->next = kept[class].first;
    kept[class].first = first;
    kept[class].count++;
}

void car_block_drop_kept(void) {
    for (size_t class = 0; class < CLASSES; class ++) {
        while (kept[class].first) {
            struct kept *block = kept[class].first;
            kept[class].first = block->next;
            free(block);
        }
        kept[class].count = 0;
    }
}
