#include "carillon/net/leaving.h"

#include <stdatomic.h>

#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#include "eio_table.h"

#define STEP_MS  50
#define AT_ONCE  50  /* told in a step, by all workers together: a thousand a second */
#define FIRST_MS 500 /* at most, for what tenants are owed, before the first is told */

static struct car_net_local *local_of(struct car_leaving *leaving) {
    return (struct car_net_local *)((char *)leaving - offsetof(struct car_net_local, leaving));
}

/* How many are told in this step: so many that all have been told in time. */
static size_t share_of(const struct car_net_local *local, uint64_t now) {
    const struct car_leaving *leaving = &local->leaving;
    uint64_t steps = leaving->until > now ? (leaving->until - now) / STEP_MS : 0;
    size_t least = AT_ONCE / (local->net->worker_count ? local->net->worker_count : 1);
    size_t due = steps ? leaving->untold / steps + 1 : SIZE_MAX;
    least = least ? least : 1;
    return due > least ? due : least;
}

/* Takes the first connection off those that know of nothing, and tells it. false where it is ending anyway. */
static bool tell_next(struct car_net_local *local) {
    struct car_conn *conn = local->conns;
    bool stays = !conn->closing && !conn->finishing;
    car_conn_list(conn, &local->leaving.told);
    if (stays) {
        conn->ops->leave(conn);
    }
    return stays;
}

static void less(size_t *untold, size_t n) {
    *untold -= n < *untold ? n : *untold;
}

/* Sessions come first: a poll that is answered leaves its connection open for the next, which ends the session. */
static void step(struct car_net_local *local) {
    struct car_leaving *leaving = &local->leaving;
    size_t share = share_of(local, uv_now(&local->worker->loop));
    size_t told = car_eio_leave_some(local->worker, share);
    less(&leaving->untold, told);
    while (told < share && local->conns) {
        told += tell_next(local);
        less(&leaving->untold, 1);
    }
    /* It goes on when all have been told: connections may still come from other workers. */
    car_timer_set(local->worker->wheel, &leaving->timer, STEP_MS);
}

static void on_timer(struct car_timer *timer) {
    step(local_of((struct car_leaving *)((char *)timer - offsetof(struct car_leaving, timer))));
}

/* Whether something else is still to be done first: what has come for the sessions goes out before they leave. It has
 * its time, and not more than half of what there is for all. */
static bool is_owed(const struct car_net_local *local) {
    const struct car_leaving *leaving = &local->leaving;
    const struct car_tasks *tasks = &local->worker->tasks;
    uint64_t at_most = leaving->over_ms / 2 < FIRST_MS ? leaving->over_ms / 2 : FIRST_MS;
    uint64_t began = leaving->until - leaving->over_ms;
    return car_tasks_others_wait(tasks, &tasks->common) && uv_now(&local->worker->loop) - began < at_most;
}

static void on_task(struct car_task *task) {
    struct car_net_local *local = local_of((struct car_leaving *)((char *)task - offsetof(struct car_leaving, task)));
    struct car_leaving *leaving = &local->leaving;
    if (is_owed(local)) {
        car_task_yield(&local->worker->tasks, task);
        return;
    }
    car_arrivals_take_all(&local->arrivals);
    leaving->untold = car_eio_table_count(local->eios);
    for (const struct car_conn *conn = local->conns; conn; conn = conn->next) {
        leaving->untold++;
    }
    step(local);
}

static void on_note(struct car_note *note, void *owner) {
    struct car_worker *worker = owner;
    struct car_leaving *leaving = &car_net_local(worker)->leaving;
    (void)note;
    leaving->until = uv_now(&worker->loop) + leaving->over_ms;
    car_task_yield(&worker->tasks, &leaving->task);
}

void car_leaving_init(struct car_leaving *leaving) {
    leaving->note.run = on_note;
    leaving->task.run = on_task;
    leaving->timer.fire = on_timer;
}

void car_net_drain(struct car_worker *worker, uint32_t over_ms) {
    struct car_net_local *local = car_net_local(worker);
    atomic_store(&local->net->draining, true);
    local->leaving.over_ms = over_ms;
    car_mailbox_post(&worker->mailbox, &local->leaving.note);
}
