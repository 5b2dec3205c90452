#include "carillon/runtime/worker.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "carillon/runtime/reclaim.h"

#include "suite.h"

#define PATIENCE_S 20

static struct car_reclaim *reclaim;

/* A note that tells what it saw. */
struct visit {
    struct car_note note;
    struct car_worker *self; /* car_worker_self() there */
    void *owner;
    char name[16];
    pthread_t thread;
    sem_t done;
};

static bool wait_for(sem_t *sem) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    return sem_timedwait(sem, &until) == 0;
}

static void on_visit(struct car_note *note, void *owner) {
    struct visit *visit = (struct visit *)note; /* its first member */
    visit->self = car_worker_self();
    visit->owner = owner;
    visit->thread = pthread_self();
    pthread_getname_np(visit->thread, visit->name, sizeof visit->name);
    sem_post(&visit->done);
}

static void post_visit(struct car_worker *worker, struct visit *visit) {
    *visit = (struct visit){.note.run = on_visit};
    sem_init(&visit->done, 0, 0);
    car_mailbox_post(&worker->mailbox, &visit->note);
}

static void on_stop(struct car_note *note, void *owner) {
    (void)note;
    car_worker_stop(owner);
}

static void stop_and_join(struct car_worker **worker) {
    static struct car_note notes[8];
    struct car_note *note = &notes[(*worker)->id];
    note->run = on_stop;
    car_mailbox_post(&(*worker)->mailbox, note);
    car_worker_join(*worker);
    car_worker_close(worker);
    CU_ASSERT_PTR_NULL(*worker);
}

static void test_never_started(void) {
    struct car_worker *worker = NULL;
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 3, reclaim), 0);
    CU_ASSERT_EQUAL(worker->id, 3);
    CU_ASSERT_FALSE(worker->started);
    CU_ASSERT_EQUAL(atomic_load(&worker->connections), 0);
    CU_ASSERT_PTR_NOT_NULL(worker->wheel);
    CU_ASSERT_PTR_NOT_NULL(worker->reader);
    CU_ASSERT_PTR_NULL(worker->net);
    CU_ASSERT_PTR_NULL(worker->feed);
    CU_ASSERT_PTR_NULL(car_worker_self());
    car_worker_join(worker);
    car_worker_close(&worker);
    CU_ASSERT_PTR_NULL(worker);
}

/* What lay in the mailbox of a worker that never ran is not lost. */
static void test_never_started_with_note(void) {
    struct car_worker *worker = NULL;
    struct visit visit;
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 0, reclaim), 0);
    post_visit(worker, &visit);
    CU_ASSERT_EQUAL(sem_trywait(&visit.done), -1);
    car_worker_join(worker);
    CU_ASSERT_EQUAL(sem_trywait(&visit.done), 0);
    CU_ASSERT_PTR_EQUAL(visit.owner, worker);
    car_worker_close(&worker);
}

static void test_notes_run_on_its_thread(void) {
    struct car_worker *workers[3];
    struct visit visits[3];
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&workers[i], i, reclaim), 0);
        CU_ASSERT_EQUAL_FATAL(car_worker_start(workers[i]), 0);
        CU_ASSERT(workers[i]->started);
    }
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 3; i++) {
            post_visit(workers[i], &visits[i]);
        }
        for (unsigned i = 0; i < 3; i++) {
            CU_ASSERT_FATAL(wait_for(&visits[i].done));
            CU_ASSERT_PTR_EQUAL(visits[i].self, workers[i]);
            CU_ASSERT_PTR_EQUAL(visits[i].owner, workers[i]);
            CU_ASSERT(pthread_equal(visits[i].thread, workers[i]->thread));
            CU_ASSERT_EQUAL(memcmp(visits[i].name, "worker-", 7), 0);
            CU_ASSERT_EQUAL(visits[i].name[7], (char)('0' + i));
            sem_destroy(&visits[i].done);
        }
    }
    CU_ASSERT_PTR_NULL(car_worker_self());
    for (unsigned i = 0; i < 3; i++) {
        stop_and_join(&workers[i]);
    }
}

/* What one worker posts to others in one turn: all of it arrives, whatever the number of workers, and whether they
 * sleep or not. */

#define MANY_WORKERS (CAR_WORKER_OWED_MAX + 3)

struct round_letter {
    struct car_note note; /* first */
    struct car_worker **workers;
    struct visit visits[MANY_WORKERS][3];
};

static void post_round(struct car_note *note, void *owner) {
    struct round_letter *round = (struct round_letter *)note;
    for (unsigned k = 0; k < 3; k++) {
        for (unsigned i = 1; i < MANY_WORKERS; i++) {
            car_worker_post(owner, round->workers[i], &round->visits[i][k].note);
        }
    }
}

static void test_worker_to_worker(void) {
    static struct car_note stops[MANY_WORKERS];
    struct car_worker *workers[MANY_WORKERS];
    struct round_letter *round = calloc(1, sizeof *round);
    CU_ASSERT_PTR_NOT_NULL_FATAL(round);
    for (unsigned i = 0; i < MANY_WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&workers[i], i, reclaim), 0);
        CU_ASSERT_EQUAL_FATAL(car_worker_start(workers[i]), 0);
    }
    for (unsigned turn = 0; turn < 50; turn++) {
        *round = (struct round_letter){.note.run = post_round, .workers = workers};
        for (unsigned i = 1; i < MANY_WORKERS; i++) {
            for (unsigned k = 0; k < 3; k++) {
                round->visits[i][k].note.run = on_visit;
                sem_init(&round->visits[i][k].done, 0, 0);
            }
        }
        car_mailbox_post(&workers[0]->mailbox, &round->note);
        for (unsigned i = 1; i < MANY_WORKERS; i++) {
            for (unsigned k = 0; k < 3; k++) {
                CU_ASSERT_FATAL(wait_for(&round->visits[i][k].done));
                CU_ASSERT_PTR_EQUAL(round->visits[i][k].self, workers[i]);
                sem_destroy(&round->visits[i][k].done);
            }
        }
    }
    for (unsigned i = 0; i < MANY_WORKERS; i++) {
        stops[i].run = on_stop;
        car_mailbox_post(&workers[i]->mailbox, &stops[i]);
        car_worker_join(workers[i]);
    }
    for (unsigned i = 0; i < MANY_WORKERS; i++) {
        car_worker_close(&workers[i]);
    }
    free(round);
}

/* Retired memory. */

struct thing {
    struct car_retired retired; /* first */
    struct car_note note;
    struct car_worker *worker;
    sem_t freed;
    struct car_worker *freed_on;
    bool in_note; /* while this is true it must not be freed */
    atomic_bool early;
};

static void on_freed(struct car_retired *retired) {
    struct thing *thing = (struct thing *)retired;
    atomic_store(&thing->early, thing->in_note);
    thing->freed_on = car_worker_self();
    sem_post(&thing->freed);
}

static void on_retire(struct car_note *note, void *owner) {
    struct thing *thing = (struct thing *)((char *)note - offsetof(struct thing, note));
    struct car_worker *worker = owner;
    thing->in_note = true;
    car_reader_retire(worker->reader, &thing->retired, on_freed);
    thing->in_note = false;
}

/* A worker that goes idle right after it retired something frees it all the same, on its own thread. */
static void test_retired_is_freed(void) {
    struct car_worker *worker = NULL;
    struct thing things[3] = {0};
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 0, reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_worker_start(worker), 0);
    for (unsigned i = 0; i < 3; i++) {
        sem_init(&things[i].freed, 0, 0);
        things[i].note.run = on_retire;
        car_mailbox_post(&worker->mailbox, &things[i].note);
        CU_ASSERT_FATAL(wait_for(&things[i].freed));
        CU_ASSERT_PTR_EQUAL(things[i].freed_on, worker);
        CU_ASSERT_FALSE(atomic_load(&things[i].early));
        sem_destroy(&things[i].freed);
    }
    stop_and_join(&worker);
}

/* Another thread's section holds it up, and no longer than that. */
static void test_retired_waits(void) {
    struct car_worker *worker = NULL;
    struct thing thing = {.note.run = on_retire};
    struct car_reader *reader = car_reader_open(reclaim);
    sem_init(&thing.freed, 0, 0);
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 0, reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_worker_start(worker), 0);
    car_reader_enter(reader);
    car_mailbox_post(&worker->mailbox, &thing.note);
    uv_sleep(400);
    CU_ASSERT_EQUAL(sem_trywait(&thing.freed), -1);
    car_reader_leave(reader);
    CU_ASSERT_FATAL(wait_for(&thing.freed));
    stop_and_join(&worker);
    car_reader_close(&reader);
    sem_destroy(&thing.freed);
}

/* What is still retired when the worker ends is freed with it. */
static void test_retired_at_the_end(void) {
    struct car_worker *worker = NULL;
    struct thing thing = {.note.run = on_retire};
    struct car_reader *reader = car_reader_open(reclaim);
    sem_init(&thing.freed, 0, 0);
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 0, reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_worker_start(worker), 0);
    car_reader_enter(reader);
    car_mailbox_post(&worker->mailbox, &thing.note);
    struct car_note note = {.run = on_stop};
    car_mailbox_post(&worker->mailbox, &note);
    car_worker_join(worker);
    car_reader_leave(reader);
    car_worker_close(&worker);
    CU_ASSERT_EQUAL(sem_trywait(&thing.freed), 0);
    CU_ASSERT_PTR_NULL(thing.freed_on);
    car_reader_close(&reader);
    sem_destroy(&thing.freed);
}

/* A connection's handle keeps the thread running until it has closed too. */

struct guest {
    struct car_note note;
    uv_timer_t timer;
    atomic_bool closed;
};

static void on_guest_closed(uv_handle_t *handle) {
    atomic_store(&((struct guest *)handle->data)->closed, true);
}

static void on_guest_timer(uv_timer_t *timer) {
    uv_close((uv_handle_t *)timer, on_guest_closed);
}

static void on_guest(struct car_note *note, void *owner) {
    struct guest *guest = (struct guest *)note;
    struct car_worker *worker = owner;
    uv_timer_init(&worker->loop, &guest->timer);
    guest->timer.data = guest;
    uv_timer_start(&guest->timer, on_guest_timer, 100, 0);
    car_worker_stop(worker);
}

static void test_ends_after_its_handles(void) {
    struct car_worker *worker = NULL;
    struct guest guest = {.note.run = on_guest};
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&worker, 0, reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_worker_start(worker), 0);
    car_mailbox_post(&worker->mailbox, &guest.note);
    car_worker_join(worker);
    CU_ASSERT(atomic_load(&guest.closed));
    car_worker_close(&worker);
}

static const struct car_test TESTS[] = {
    {"a worker that never ran", test_never_started},
    {"a note for a worker that never ran", test_never_started_with_note},
    {"notes run on the worker's thread", test_notes_run_on_its_thread},
    {"from worker to worker", test_worker_to_worker},
    {"an idle worker frees what it retired", test_retired_is_freed},
    {"a section holds it up", test_retired_waits},
    {"the worker's end frees what is left", test_retired_at_the_end},
    {"the thread ends after its handles", test_ends_after_its_handles},
};

int main(void) {
    reclaim = car_reclaim_new();
    int code = car_suite_main("worker", TESTS, sizeof TESTS / sizeof *TESTS);
    car_reclaim_free(&reclaim);
    return code;
}
