#ifndef CARILLON_RUNTIME_HS_MEMORY_H
#define CARILLON_RUNTIME_HS_MEMORY_H

struct ck_malloc;
struct car_reader;

/*
 * Memory for the tables of a ck_hs that is read without a lock. A table that the set outgrows may still be walked by
 * readers, so it is retired (reclaim.h), not freed.
 *
 * ck_malloc's functions are not told whose memory they handle, so the thread that changes the set says it: through
 * whose reader it retires. Between begin and end; sets are changed one at a time by a thread.
 */
extern struct ck_malloc car_hs_memory; /* for ck_hs_init; never changes */

void car_hs_change_begin(struct car_reader *reader);
void car_hs_change_end(void);

#endif
