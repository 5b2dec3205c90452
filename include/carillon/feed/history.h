#ifndef CARILLON_FEED_HISTORY_H
#define CARILLON_FEED_HISTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct car_event;
struct car_history_slots;
struct car_reader;

/*
 * A tenant's newest events in memory, in order of seq without a hole.
 *
 * Owner: the tenant's drainer (one thread at a time; the drainer flag orders them) appends and forgets. Readers: any
 * thread with a car_reader, no lock. Ordering: an event is stored before `newest` names it. Reclamation: forgotten
 * events and outgrown slots are retired, so a reader's section keeps what it sees alive long enough to take a
 * reference.
 */
struct car_history {
    _Atomic(struct car_history_slots *) slots; /* NULL until the first event */
    atomic_uint_fast64_t oldest;               /* the first seq kept; newest + 1 while nothing is kept */
    atomic_uint_fast64_t newest;               /* the last seq there is; 0 before the first */
};

void car_history_init(struct car_history *history, uint64_t newest);

/* Lets go of everything. Nobody may be reading. */
void car_history_free(struct car_history *history);

/* Owner's side: makes room for `count` more events; appending these does not fail then. 0 or CAR_ENOMEM. */
int car_history_reserve(struct car_history *history, struct car_reader *reader, size_t count);

/* Owner's side: appends a sealed event whose seq is newest + 1, and takes over the caller's reference. CAR_ENOMEM: then
 * nothing has changed. */
int car_history_append(struct car_history *history, struct car_reader *reader, struct car_event *event);

/* Owner's side: forgets the events below `seq`. Returns how many bytes they have. */
size_t car_history_forget(struct car_history *history, struct car_reader *reader, uint64_t seq);

/* Owner's side: forgets all of it, and the room for it; nothing is appended any more. Returns the events' bytes. */
size_t car_history_drop(struct car_history *history, struct car_reader *reader);

/* Readers' side. */
static inline uint64_t car_history_newest(const struct car_history *history) {
    return atomic_load_explicit(&history->newest, memory_order_acquire);
}

static inline uint64_t car_history_oldest(const struct car_history *history) {
    return atomic_load_explicit(&history->oldest, memory_order_acquire);
}

/*
 * Takes references to up to `max` consecutive events from `seq` on into `out`, fewer where the history ends. Where
 * `seq` has been forgotten it begins with the first one kept: the caller sees that in out[0]->seq. Returns how many.
 */
size_t car_history_read(struct car_history *history, struct car_reader *reader, uint64_t seq, struct car_event **out,
                        size_t max);

#endif
