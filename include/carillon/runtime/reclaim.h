#ifndef CARILLON_RUNTIME_RECLAIM_H
#define CARILLON_RUNTIME_RECLAIM_H

#include <ck_epoch.h>
#include <stdbool.h>

/*
 * Safe memory reclamation (ck_epoch): readers of a shared structure wrap each look in a section; a writer that took
 * something out of it retires it, and it is freed once no section that could still see it is open.
 *
 * One car_reclaim a process; one car_reader a thread, used by that thread only. Sections are short and never span a
 * callback or a blocking call; they may nest.
 */
struct car_reclaim;
struct car_reader;

/* Embedded in what can be retired. */
struct car_retired {
    ck_epoch_entry_t entry;
    void (*free)(struct car_retired *retired);
};

struct car_reclaim *car_reclaim_new(void);
/* All readers must have been closed. */
void car_reclaim_free(struct car_reclaim **domain);

/* Registers the calling thread. NULL without memory. */
struct car_reader *car_reader_open(struct car_reclaim *domain);

/* Waits until everything the thread retired has been freed, then unregisters it. On the reader's thread, or after it
 * has ended. */
void car_reader_close(struct car_reader **reader);

/* Begins a section. Entering the outermost one is a full memory fence, which the feed relies on (src/feed/lane.c). */
void car_reader_enter(struct car_reader *reader);
void car_reader_leave(struct car_reader *reader);

/* Hands over something that no new reader can find any more; `free` is called later on this thread, from
 * car_reader_poll or car_reader_close. Allowed inside and outside of a section. */
void car_reader_retire(struct car_reader *reader, struct car_retired *retired, void (*free)(struct car_retired *));

/* Frees what can be freed by now; cheap where nothing waits. Returns whether something still waits. Outside of a
 * section. */
bool car_reader_poll(struct car_reader *reader);

#endif
