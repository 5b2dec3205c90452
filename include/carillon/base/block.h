#ifndef CARILLON_BASE_BLOCK_H
#define CARILLON_BASE_BLOCK_H

#include <stddef.h>

/*
 * Small blocks of memory for what comes and goes with every event. A thread keeps some of those it frees and hands them
 * out again, without a lock; beyond that they are malloc's, in both directions. The C library's own cache holds seven
 * of a size, where events come and go by the hundred.
 *
 * A block may be freed by another thread than the one that took it.
 */

/* `size` bytes, not cleared. NULL where memory ran out. */
void *car_block_new(size_t size);

/* Takes a block back, of the size it was asked for with; NULL is allowed. */
void car_block_free(void *block, size_t size);

/* Gives back to the system what the calling thread keeps: before it ends. */
void car_block_drop_kept(void);

#endif
