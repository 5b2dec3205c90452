#include "carillon/runtime/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "carillon/base/block.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/turn.h"

#include "link.h"

/* How soon memory that was retired by a now idle worker is looked at again. */
#define RECLAIM_MS 100

const struct car_metric car_worker_metric_rows[] = {
    {.name = "carillon_loop_lag_seconds",
     .help = "How long a turn of a worker's loop kept it from looking for input.",
     .kind = CAR_METRIC_HISTOGRAM,
     .apart = true,
     .offset = offsetof(struct car_worker_metrics, lag)},
};
const size_t car_worker_metric_count = sizeof car_worker_metric_rows / sizeof *car_worker_metric_rows;

static _Thread_local struct car_worker *self;

struct car_worker *car_worker_self(void) {
    return self;
}

/* What is still to be done when the slice is over (task.c) counts with the turn that does it. */
static void end_turn(const struct car_worker *worker) {
    struct car_turn turn = car_turn_end();
    if (turn.began_us == 0) {
        return;
    }
    car_histogram_add(&worker->metrics->lag, turn.ended_us - turn.began_us, 1);
    for (struct car_turn_end *end = worker->turn_ends; end && car_link_is_alone(&worker->tasks.ready);
         end = end->next) {
        end->run(end, turn.ended_us);
    }
}

void car_worker_at_turn_end(struct car_worker *worker, struct car_turn_end *end) {
    end->next = worker->turn_ends;
    worker->turn_ends = end;
}

/* What the thread retired is freed between turns, never while a callback may hold it. */
static void on_turn(void *owner) {
    struct car_worker *worker = owner;
    end_turn(worker);
    if (car_reader_poll(worker->reader) && !car_timer_is_set(&worker->reclaim_timer)) {
        car_timer_set(worker->wheel, &worker->reclaim_timer, RECLAIM_MS);
    }
}

/* It only wakes the loop: on_turn does the rest. */
static void on_reclaim_timer(struct car_timer *timer) {
    (void)timer;
}

static void on_ring(struct car_task *task) {
    struct car_worker *worker = (struct car_worker *)((char *)task - offsetof(struct car_worker, ring));
    while (worker->owed_count) {
        car_mailbox_ring(&worker->owed[--worker->owed_count]->mailbox);
    }
}

void car_worker_post(struct car_worker *from, struct car_worker *to, struct car_note *note) {
    car_mailbox_put(&to->mailbox, note);
    for (unsigned i = 0; i < from->owed_count; i++) {
        if (from->owed[i] == to) {
            return;
        }
    }
    if (from->owed_count == CAR_WORKER_OWED_MAX) {
        car_mailbox_ring(&to->mailbox);
        return;
    }
    from->owed[from->owed_count++] = to;
    car_task_defer_first(&from->tasks, &from->ring);
}

int car_worker_open(struct car_worker **out, unsigned id, struct car_reclaim *reclaim) {
    struct car_worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        return CAR_ENOMEM;
    }
    worker->id = id;
    worker->reclaim_timer.fire = on_reclaim_timer;
    worker->ring.run = on_ring;
    int err = uv_loop_init(&worker->loop);
    if (err) {
        free(worker);
        return err;
    }
    err = car_mailbox_open(&worker->mailbox, &worker->loop, worker);
    if (err) {
        uv_loop_close(&worker->loop);
        free(worker);
        return err;
    }
    err = car_watches_open(&worker->watches, &worker->loop);
    if (err) {
        car_mailbox_close(&worker->mailbox);
        uv_run(&worker->loop, UV_RUN_DEFAULT); /* close callbacks */
        car_mailbox_free(&worker->mailbox);
        uv_loop_close(&worker->loop);
        free(worker);
        return err;
    }
    worker->metrics = car_metrics_block(sizeof *worker->metrics);
    worker->wheel = car_wheel_new(&worker->loop);
    worker->reader = car_reader_open(reclaim);
    if (!worker->wheel || !worker->reader || !worker->metrics) {
        abort(); /* out of memory before the process serves anybody */
    }
    car_tasks_open(&worker->tasks, &worker->loop, on_turn, worker);
    *out = worker;
    return 0;
}

static void worker_main(void *arg) {
    struct car_worker *worker = arg;
    self = worker;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", worker->id);
    pthread_setname_np(pthread_self(), worker->name ? worker->name : name);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    car_block_drop_kept();
    self = NULL;
}

int car_worker_start(struct car_worker *worker) {
    int err = uv_thread_create(&worker->thread, worker_main, worker);
    worker->started = err == 0;
    return err;
}

void car_worker_stop(struct car_worker *worker) {
    car_mailbox_close(&worker->mailbox);
    on_ring(&worker->ring);
    car_tasks_close(&worker->tasks);
    car_watches_close(&worker->watches);
    car_timer_clear(worker->wheel, &worker->reclaim_timer);
    car_wheel_close(&worker->wheel);
}

void car_worker_join(struct car_worker *worker) {
    if (worker->started) {
        uv_thread_join(&worker->thread);
    } else {
        car_worker_stop(worker);
        uv_run(&worker->loop, UV_RUN_DEFAULT);
    }
}

void car_worker_close(struct car_worker **worker) {
    struct car_worker *w = *worker;
    *worker = NULL;
    car_reader_close(&w->reader);
    car_mailbox_free(&w->mailbox);
    int err = uv_loop_close(&w->loop);
    assert(err == 0);
    (void)err;
    free(w->metrics);
    free(w);
}
