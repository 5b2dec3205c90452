#include "ending.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/feed.h"
#include "carillon/net/net.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/worker.h"

/* In percent of the timeout: how long what is being published is waited for, and when all have been told. The rest is
 * for them to take what they are owed, and to answer; but for the last of it, in which they are told who have not ended
 * what they had begun. */
#define PUBLISH_PERCENT 50
#define TELL_PERCENT    70
#define LAST_PERCENT    95

/* A worker that was in the middle of a request when the end began may publish it yet: what it publishes is counted once
 * it has come to this note. */
struct car_ending_seen {
    struct car_note note; /* first */
    atomic_bool done;
};

int car_ending_open(struct car_ending *ending, unsigned workers) {
    ending->last_notes = calloc(workers, sizeof *ending->last_notes);
    ending->abort_notes = calloc(workers, sizeof *ending->abort_notes);
    ending->stop_notes = calloc(workers, sizeof *ending->stop_notes);
    ending->seen = calloc(workers, sizeof *ending->seen);
    return ending->last_notes && ending->abort_notes && ending->stop_notes && ending->seen ? 0 : CAR_ENOMEM;
}

void car_ending_close(struct car_ending *ending) {
    free(ending->last_notes);
    free(ending->abort_notes);
    free(ending->stop_notes);
    free(ending->seen);
}

static uint64_t elapsed(const struct car_ending *ending) {
    return car_control_now(ending->control) - ending->began;
}

static uint64_t percent(const struct car_ending *ending, unsigned share) {
    return (uint64_t)ending->timeout_ms * share / 100;
}

static void stop_worker(struct car_note *note, void *owner) {
    (void)note;
    car_worker_stop(owner);
}

static void end_requests(struct car_note *note, void *owner) {
    (void)note;
    car_net_end_requests(owner);
}

static void abort_worker(struct car_note *note, void *owner) {
    (void)note;
    car_net_abort(owner);
}

/* Each set of notes is posted once. */
static void tell_workers(struct car_ending *ending, struct car_note *notes,
                         void (*run)(struct car_note *note, void *owner)) {
    for (unsigned i = 0; i < ending->net->worker_count; i++) {
        notes[i].run = run;
        car_mailbox_post(&ending->net->workers[i]->mailbox, &notes[i]);
    }
}

unsigned car_ending_publishing(const struct car_net *net) {
    unsigned n = 0;
    for (unsigned i = 0; i < net->worker_count; i++) {
        n += atomic_load_explicit(&car_feed_local(net->workers[i]->feed)->publishing, memory_order_acquire);
    }
    return n;
}

/* Connections and sessions; then, when these have gone and nothing new can begin, publishers that have outlived theirs.
 */
static unsigned unfinished(const struct car_ending *ending) {
    unsigned n = car_net_left(ending->net);
    return n ? n : car_ending_publishing(ending->net);
}

void car_ending_hurry(struct car_ending *ending) {
    if (!ending->aborted) {
        ending->aborted = true;
        unsigned left = unfinished(ending);
        if (left) {
            car_log_warn("closing %u connections that did not end in time", left);
        }
        tell_workers(ending, ending->abort_notes, abort_worker);
    }
}

static void on_seen(struct car_note *note, void *owner) {
    (void)owner;
    atomic_store(&((struct car_ending_seen *)note)->done, true); /* its first member */
}

static bool is_published(const struct car_ending *ending) {
    for (unsigned i = 0; i < ending->net->worker_count; i++) {
        if (!atomic_load(&ending->seen[i].done)) {
            return false;
        }
    }
    return car_ending_publishing(ending->net) == 0;
}

/* Connections are told once what was being published is in the log, and so on its way to those who subscribe. */
static void leave_when_published(struct car_ending *ending) {
    if (ending->leaving || (!is_published(ending) && elapsed(ending) < percent(ending, PUBLISH_PERCENT))) {
        return;
    }
    uint64_t gone = elapsed(ending);
    uint64_t until = percent(ending, TELL_PERCENT);
    ending->leaving = true;
    for (unsigned i = 0; i < ending->net->worker_count; i++) {
        car_net_drain(ending->net->workers[i], gone < until ? (uint32_t)(until - gone) : 0);
    }
}

void car_ending_begin(struct car_ending *ending) {
    ending->begun = true;
    ending->began = car_control_now(ending->control);
    atomic_store(&ending->net->draining, true);
    for (unsigned i = 0; i < ending->net->worker_count; i++) {
        ending->seen[i].note.run = on_seen;
        car_mailbox_post(&ending->net->workers[i]->mailbox, &ending->seen[i].note);
    }
}

bool car_ending_look(struct car_ending *ending) {
    leave_when_published(ending);
    if (ending->leaving && unfinished(ending) == 0) {
        tell_workers(ending, ending->stop_notes, stop_worker);
        return true;
    }
    if (!ending->spoken && elapsed(ending) >= percent(ending, LAST_PERCENT)) {
        ending->spoken = true;
        tell_workers(ending, ending->last_notes, end_requests);
    }
    if (elapsed(ending) >= ending->timeout_ms) {
        car_ending_hurry(ending);
    }
    return false;
}
