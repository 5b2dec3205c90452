#include "carillon/feed/shares.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "carillon/feed/drain.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/registry.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "lane.h"
#include "tenant_state.h"

/* Four steps for each doubling; the numbers below 4 have one each. */
static unsigned step_of(uint64_t bytes) {
    unsigned high = bytes < 4 ? 2 : 63 - (unsigned)__builtin_clzll(bytes);
    return bytes < 4 ? (unsigned)bytes : (high - 1) * 4 + (unsigned)(bytes >> (high - 2) & 3);
}

void car_shares_add(struct car_shares *shares, uint64_t used) {
    unsigned step = step_of(used);
    shares->tenants[step]++;
    shares->bytes[step] += used;
}

uint64_t car_shares_level(const struct car_shares *shares, uint64_t excess, uint64_t least) {
    uint64_t tenants = 0;
    uint64_t bytes = 0;
    for (unsigned step = CAR_SHARES_STEPS; step-- > 0;) {
        tenants += shares->tenants[step];
        bytes += shares->bytes[step];
        /* All that use as much as this step's together come down to the same level, if that lies within it or above. */
        uint64_t level = tenants && bytes > excess ? (bytes - excess) / tenants : 0;
        if (level && step_of(level) >= step) {
            return level > least ? level : least;
        }
    }
    return least;
}

static void add(struct car_tenant *tenant, void *user) {
    car_shares_add(user, car_memory_used(tenant));
}

struct pressing {
    struct car_feed *feed;
    struct car_reader *reader;
    struct car_shares_cut *cut; /* NULL while it is on its way */
};

static void press(struct car_tenant *tenant, void *user) {
    struct pressing *pressing = user;
    struct car_shares_cut *cut = pressing->cut;
    const struct car_feed *feed = pressing->feed;
    if (car_memory_excess(feed, tenant)) {
        car_memory_press(feed, tenant, pressing->reader, NULL);
    }
    if (cut && cut->count < CAR_SHARES_CUT && car_memory_trims(feed, tenant) && car_drain_claim(tenant)) {
        cut->tenants[cut->count++] = tenant;
    }
}

static void on_cut(struct car_note *note, void *owner) {
    struct car_shares_cut *cut = (struct car_shares_cut *)note; /* its first member */
    struct car_worker *worker = owner;
    struct car_log *log = car_feed_local(worker->feed)->feed->log;
    for (size_t i = 0; i < cut->count; i++) {
        log->ops->ready(log, cut->tenants[i], worker); /* it forgets what it need not keep */
    }
    atomic_store(&cut->busy, false);
}

static void measure(const struct car_feed *feed, struct car_shares *shares) {
    car_registry_each(feed->registry, add, shares);
    int64_t unclaimed = atomic_load_explicit(&feed->unclaimed, memory_order_relaxed);
    car_shares_add(shares, unclaimed > 0 ? (uint64_t)unclaimed : 0);
}

void car_shares_admit(struct car_feed *feed, uint64_t excess) {
    struct car_shares shares = {0};
    measure(feed, &shares);
    uint64_t level = car_shares_level(&shares, excess, 0);
    atomic_store_explicit(&feed->modest, level < CAR_MEMORY_LEAST ? 0 : level, memory_order_relaxed);
}

void car_shares_set(struct car_feed *feed, struct car_reader *reader, uint64_t excess, struct car_shares_cut *cut) {
    struct car_shares shares = {0};
    measure(feed, &shares);
    atomic_store_explicit(&feed->share, car_shares_level(&shares, excess, CAR_MEMORY_LEAST), memory_order_relaxed);
    bool idle = !atomic_load(&cut->busy);
    struct pressing pressing = {feed, reader, idle ? cut : NULL};
    if (idle) {
        cut->count = 0;
    }
    car_registry_each(feed->registry, press, &pressing);
    if (idle && cut->count) {
        cut->note.run = on_cut;
        atomic_store(&cut->busy, true);
        car_mailbox_post(&feed->workers[0]->mailbox, &cut->note);
    }
}

void car_shares_lift(struct car_feed *feed) {
    atomic_store_explicit(&feed->share, 0, memory_order_relaxed);
    atomic_store_explicit(&feed->modest, 0, memory_order_relaxed);
}
