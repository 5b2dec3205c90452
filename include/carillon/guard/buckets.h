#ifndef CARILLON_GUARD_BUCKETS_H
#define CARILLON_GUARD_BUCKETS_H

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/span.h"
#include "carillon/guard/gcra.h"

struct car_reader;

#define CAR_BUCKET_KEY_MAX 160 /* bytes; longer keys are told apart by as many of their first */

/*
 * One limit for many: a state (gcra.h) for each key, be it an address or a user. A key needs no introduction, it is put
 * in when it is first seen. Once everything is there again its state says nothing, and it may go: each key that is put
 * in looks at a few others, round and round, and takes those out.
 *
 * Owner: whoever made the table; one for the process, which has to outlive all threads that use it.
 *
 * Readers: any thread, inside a section of its own reader, without a lock. A take from a key that is there is a look
 * into a ck_hs and one compare-and-swap.
 *
 * Writers: whoever comes with a key that is not there, one at a time behind a mutex. It is held for a look at 16 states
 * at most, and, seldom, while the set grows or gets rid of the marks that removed keys leave in it.
 *
 * Ordering. An entry is whole before the pointer to it is put into the set; a reader gets to it through that pointer
 * only. A writer ends a state (one compare-and-swap, car_gcra_end), then takes the entry out of the set, then retires
 * it. A reader that had found it finds the state ended, and then waits for the mutex, under which nothing ends; there
 * the key is absent, and put in anew. So a take comes before the end, and then the state is not one that may end, or it
 * is made on the new state: none is lost, none counts twice. Whoever retires is the writer; freed is what no section
 * can see any more, at that thread's next car_reader_poll.
 *
 * A thread whose now is older than the one that a key was removed at must not find more than it would have found in
 * what was removed: a new state begins no sooner than the latest now that any key was put in, or removed, at.
 *
 * Bounded: `max` keys. Where none of those looked at can go, newcomers share one bucket more, of the same limit, among
 * all of them: strangers in a crowd are held back together, while those who are known are not. A take from it is made
 * with the mutex held. When there is room again, a newcomer's own state begins no better than the shared one is, for it
 * may have taken from that: so no key ever gets more than its limit. The same bucket serves where memory ran out.
 */
struct car_buckets;

/* At most `max` keys (1 at least) of a limit that is one (count > 0). NULL without memory. */
struct car_buckets *car_buckets_new(const struct car_rate_limit *limit, size_t max, uint64_t now_ns);

/* After all threads that use it have ended; what they retired is theirs still. NULL inside is allowed. */
void car_buckets_free(struct car_buckets **buckets);

/* As car_gcra_take, from the key's own state or the shared one: 0, CAR_EFULL, CAR_ETOOBIG. What has left the set is
 * retired through `reader`, for its next car_reader_poll. Any thread with a reader. */
int car_buckets_take(struct car_buckets *buckets, struct car_reader *reader, struct car_span key, uint64_t now_ns,
                     uint64_t cost, struct car_rate_state *out);

/* As car_gcra_give_back. Any thread with a reader. */
void car_buckets_give_back(struct car_buckets *buckets, struct car_reader *reader, struct car_span key,
                           uint64_t taken_ns, uint64_t cost, uint64_t (*clock)(void));

/* Keys inside. Any thread. */
size_t car_buckets_count(const struct car_buckets *buckets);

#endif
