#include "resources.h"

#include <malloc.h>
#include <stdbool.h>
#include <sys/resource.h>

#define HEAP_STEP (1 << 20)

void car_resources_spare(bool spare) {
    (void)mallopt(M_MMAP_THRESHOLD, spare ? HEAP_STEP / 4 : 4 * HEAP_STEP);
}

/* One heap for all threads, which grows in steps worth a system call: the C library's heap of each thread grows page by
 * page, and what one thread frees is of no use to another. Its lock is met by what is larger than a block (block.h),
 * and by connections that come and go. car_resources_spare gives back what these lines take away: that large buffers
 * stay on the heap where they have been used before. */
static void set_up_heap(void) {
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TOP_PAD, HEAP_STEP);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * HEAP_STEP);
    car_resources_spare(false);
}

/* As many descriptors as the system lets us have: each connection is one. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void car_resources_claim(void) {
    set_up_heap();
    raise_descriptor_limit();
}
