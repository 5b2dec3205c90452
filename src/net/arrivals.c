#include "carillon/net/arrivals.h"

#include <stddef.h>
#include <stdint.h>

#include "carillon/base/err.h"
#include "carillon/feed/ring.h"
#include "carillon/net/http_conn.h"
#include "carillon/runtime/worker.h"

#define SLOTS  1024
#define A_TURN 32

/* A descriptor as a ring of pointers takes it: never NULL. */
static void *packed(int fd, bool over_limit) {
    return (void *)(((uintptr_t)(unsigned)fd + 1) << 1 | over_limit);
}

/* false where there is none. */
static bool take_one(struct car_arrivals *arrivals) {
    uintptr_t bits = (uintptr_t)car_ring_take_spsc(arrivals->ring);
    if (bits) {
        car_http_conn_open(arrivals->worker, (int)((bits >> 1) - 1), bits & 1);
    }
    return bits != 0;
}

static void on_task(struct car_task *task) {
    struct car_arrivals *arrivals = (struct car_arrivals *)((char *)task - offsetof(struct car_arrivals, task));
    unsigned n = 0;
    while (n < A_TURN && take_one(arrivals)) {
        n++;
    }
    if (n == A_TURN) {
        car_task_yield(&arrivals->worker->tasks, task);
    }
}

static void on_note(struct car_note *note, void *owner) {
    struct car_arrivals *arrivals = (struct car_arrivals *)((char *)note - offsetof(struct car_arrivals, note));
    (void)owner;
    atomic_exchange(&arrivals->posted, false);
    car_task_defer(&arrivals->worker->tasks, &arrivals->task);
}

int car_arrivals_open(struct car_arrivals *arrivals, struct car_worker *worker) {
    arrivals->ring = car_ring_new(SLOTS);
    atomic_init(&arrivals->posted, false);
    arrivals->note.run = on_note;
    arrivals->task.run = on_task;
    arrivals->worker = worker;
    return arrivals->ring ? 0 : CAR_ENOMEM;
}

void car_arrivals_close(struct car_arrivals *arrivals) {
    car_ring_free(&arrivals->ring);
}

bool car_arrivals_put(struct car_arrivals *arrivals, int fd, bool over_limit) {
    return car_ring_put_spsc(arrivals->ring, packed(fd, over_limit));
}

bool car_arrivals_is_full(const struct car_arrivals *arrivals) {
    return car_ring_count(arrivals->ring) >= SLOTS - 1;
}

void car_arrivals_announce(struct car_arrivals *arrivals) {
    if (car_ring_count(arrivals->ring) > 0 && !atomic_exchange(&arrivals->posted, true)) {
        car_mailbox_post(&arrivals->worker->mailbox, &arrivals->note);
    }
}

void car_arrivals_take_all(struct car_arrivals *arrivals) {
    while (take_one(arrivals)) {
    }
}
