#ifndef CARILLON_FEED_DRAIN_H
#define CARILLON_FEED_DRAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "carillon/runtime/mailbox.h"

struct car_feed;
struct car_log;
struct car_publish;
struct car_reader;
struct car_tenant;
struct car_worker;

/* Events that are taken at a time, and that go into a lane at a time. One batch may be more than that. */
#define CAR_DRAIN_BATCH 256

/*
 * The drainer's side of a tenant: the steps by which a log turns what waits in the inlet into numbered events. One
 * thread at a time is a tenant's drainer: whoever turned `draining` to true (car_drain_claim), until car_drain_finish.
 *
 * Ordering: the exchange that claims acquires what the former drainer's release of the flag published, so history and
 * lanes have a single writer. Who waits in the inlet meanwhile is never left behind without a drainer
 * (src/feed/inlet.h).
 */

/* Tries to become the drainer. */
bool car_drain_claim(struct car_tenant *tenant);

/* Takes of what waits as much as has `max` events together (at most CAR_DRAIN_BATCH), and up to CAR_PUBLISH_MAX - 1
 * more where the last is a batch; `batch` has room for `max`. Returns how many were taken. 0 where nothing waits, or
 * where a worker is so far behind that taking more would make it miss events: then whoever reads that worker's lane
 * goes on. Either way the drainer ends with car_drain_finish. `reader` is the calling thread's, `self` its worker, NULL
 * where it is none. */
size_t car_drain_take(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                      struct car_worker *self, struct car_publish **batch, size_t max);

/* Gives what was taken its seqs and its time, in order, behind what the history has. Nobody sees that yet: a log that
 * stores it elsewhere does so now, and then publishes or refuses it, all of it. 0; CAR_ENOMEM: then it can only be
 * refused. */
int car_drain_number(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                     struct car_reader *reader);

/* The same piece by piece, for a thread that others wait for: begins, which is all that can fail, and then numbers so
 * many events more. true where these were the last; until then the caller stays the drainer, and gives the same. */
struct car_numbering {
    uint64_t seq; /* the last that was given */
    int64_t now_ms;
    size_t at; /* whose next event is numbered next */
    uint32_t event;
};

int car_drain_number_begin(struct car_tenant *tenant, struct car_publish *const *batch, size_t count,
                           struct car_reader *reader, struct car_numbering *numbering);
bool car_drain_number_some(const struct car_feed *feed, struct car_publish *const *batch, size_t count,
                           struct car_numbering *n, size_t max);

/* How many events that are. */
size_t car_drain_count(struct car_publish *const *batch, size_t count);

/* It is in the log: puts it in the history, wakes the lanes, answers the publishers. */
void car_drain_publish(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                       struct car_reader *reader, struct car_worker *self);

/* It is not in the log and never will be: answers the publishers with `status`, a CAR_E… code. */
void car_drain_refuse(struct car_publish **batch, size_t count, int status, struct car_worker *self);

/* Answers publishers whose answer is already known (repeat.h), and of whose events the history has none. */
void car_drain_answer(struct car_publish **others, size_t count, struct car_worker *self);

/* The tenant was removed: refuses all that waits, and lets go of its events. Whatever comes later is to be met by this,
 * too: the drainer of a tenant that is removed (car_tenant_is_removed) takes nothing. */
void car_drain_close(struct car_feed *feed, struct car_tenant *tenant, struct car_reader *reader,
                     struct car_worker *self);

/* Numbers and publishes, with nothing in between. */
void car_drain_seal(struct car_feed *feed, struct car_tenant *tenant, struct car_publish **batch, size_t count,
                    struct car_reader *reader, struct car_worker *self);

/* Lets the log's `ready` be called again for this tenant when its flow on the worker has its turn; until then the
 * caller stays the drainer. On the worker's thread. */
void car_drain_yield(struct car_tenant *tenant, struct car_worker *worker);

/* A tenant's place in the queue of a log that has a thread of its own, which then never yields (car_drain_yield). The
 * log's, while it is the drainer. */
struct car_drain_seat {
    struct car_note note; /* first */
    struct car_log *log;
    struct car_tenant *tenant; /* whose it is */
    struct car_drain_seat *next;
};

struct car_drain_seat *car_drain_seat(struct car_tenant *tenant);

/* What a log that has no such thread keeps with a tenant: NULL at first, and the log frees it. The log's, while it is
 * the drainer. */
void **car_drain_memory(struct car_tenant *tenant);

/* Stops being the drainer. true where something arrived meanwhile, or the tenant was removed, and this thread has
 * become the drainer once more. */
bool car_drain_finish(struct car_tenant *tenant);

#endif
