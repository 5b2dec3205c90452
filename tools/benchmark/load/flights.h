#ifndef CARILLON_LOAD_FLIGHTS_H
#define CARILLON_LOAD_FLIGHTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

#define FLIGHTS_END UINT32_MAX

/* The event that is in flight, as it was sent. */
struct sent {
    uint32_t strand, counter;
    uint64_t due; /* when it was to be sent, by clock_now */
};

struct flight {
    atomic_uint awaited; /* deliveries and the acknowledgement that are still to come */
    uint32_t next;       /* among those that are over */
    _Atomic uint32_t strand, counter;
    _Atomic uint64_t due;
};

/*
 * The events in flight: published, and not yet wholly delivered and acknowledged. Owner: the main loop's thread, which
 * begins flights and takes those that are over; any loop's thread says what has arrived. Ordering: who brings `awaited`
 * to 0 owns the flight until it has pushed it to `over`; the exchange of `over` takes all there are.
 */
struct flights {
    struct flight *all;
    uint32_t count;
    struct loop *home;
    atomic_uint over; /* the newest, FLIGHTS_END: none */
};

/* Memory is touched only where it is used: open loops have a flight for each event. */
void flights_init(struct flights *flights, uint32_t count, struct loop *home);
void flights_free(struct flights *flights);

void flights_begin(struct flights *flights, uint32_t flight, uint32_t awaited, const struct sent *sent);

/* Whether this event is the one under way there, and was sent with this due time. Any loop's thread. */
bool flights_carry(const struct flights *flights, uint32_t flight, const struct sent *sent);

/* One of those that were awaited has come, on the thread of `loop`. Returns false where none was. */
bool flights_arrive(struct flights *flights, uint32_t flight, const struct loop *loop);

/* The first of a list of all that are over, each with the `next`. */
uint32_t flights_take(struct flights *flights);

#endif
