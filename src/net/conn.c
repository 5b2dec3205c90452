#include "carillon/net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/blob.h"
#include "carillon/net/net.h"
#include "carillon/net/net_metrics.h"
#include "carillon/runtime/worker.h"

#include "conn_turn.h"
#include "hoard.h"
#include "input.h"
#include "stream.h"
#include "tls.h"

#define LINGER_MS    2000              /* for the peer's end, after ours is closed */
#define MEANWHILE_MS CAR_TIMER_TICK_MS /* a wake-up this much too early is not worth moving the timer for */

uint64_t car_conn_now(const struct car_conn *conn) {
    return uv_now(&conn->worker->loop);
}

void car_conn_belong(struct car_conn *conn, const void *owner) {
    const struct car_net_owners *owners = car_net_local(conn->worker)->net->owners;
    if (conn->owner != owner) {
        conn->owner = owner;
        conn->flow = owner && owners ? owners->flow(conn->worker, owner) : &conn->worker->tasks.common;
    }
}

void car_conn_ready(struct car_watch *watch, unsigned what) {
    struct car_conn *conn = (struct car_conn *)((char *)watch - offsetof(struct car_conn, watch));
    if (conn->closing) {
        return;
    }
    if (conn->blocked && (what & (CAR_WATCH_WRITE | CAR_WATCH_END))) {
        conn->blocked = false;
        car_conn_touch(conn);
    }
    conn->ending = conn->ending || (what & CAR_WATCH_END);
    if (what & (CAR_WATCH_READ | CAR_WATCH_END)) {
        conn->readable = true;
        if (car_flow_is_spent(conn->flow)) {
            car_conn_touch(conn); /* it is read when its tenant has its turn */
        } else {
            car_input_read(conn);
        }
    }
}

/* Output. */

const struct car_blob *car_conn_begun(const struct car_conn *conn, size_t *written) {
    static const struct car_blob nothing;
    const struct car_blob *first = car_out_first(&conn->out, written);
    if (!first) {
        return &nothing;
    }
    return conn->owner && first->owner == conn->owner ? first : NULL;
}

/* Records that have been made stay whole, and so does what they say; they go with the connection, and soon. */
void car_conn_cut(struct car_conn *conn, size_t rest) {
    conn->cut = true;
    car_tls_hold(conn, NULL);
    if (!conn->closing && !car_out_cut(car_net_local(conn->worker), &conn->out, rest)) {
        car_conn_close(conn);
    }
}

size_t car_conn_held(const struct car_conn *conn) {
    return car_out_held(&conn->out) + (conn->tls ? car_tls_held(conn->tls) : 0);
}

size_t car_conn_pending(const struct car_conn *conn) {
    return car_out_bytes(&conn->out) + (conn->tls ? car_tls_waiting(conn->tls) : 0);
}

bool car_conn_is_full(struct car_conn *conn) {
    if (conn->blocked || car_conn_pending(conn) > CAR_CONN_HIGH_WATER) {
        conn->full = true;
    }
    return conn->full;
}

bool car_conn_await_drained(struct car_conn *conn) {
    conn->full = conn->full || car_stream_waits(conn);
    return conn->full;
}

bool car_conn_is_stuck(struct car_conn *conn) {
    bool stuck = conn->blocked && !conn->moved;
    conn->moved = false;
    return stuck;
}

/* Everything is written: our end closes, the peer gets a moment to close its own. */
static void shut(struct car_conn *conn) {
    if (conn->tls) {
        car_tls_shut(conn);
    }
    if (conn->saw_eof || shutdown(conn->watch.fd, SHUT_WR) != 0) {
        car_conn_close(conn);
        return;
    }
    conn->shut = true;
    car_input_start(conn);
    car_conn_wake_in(conn, LINGER_MS);
}

static void all_written(struct car_conn *conn) {
    if (conn->finishing) {
        if (!conn->shut) {
            shut(conn);
        }
        return;
    }
    if (conn->full) {
        conn->full = false;
        conn->ops->drained(conn);
    }
    if (conn->held) {
        car_conn_continue(conn);
    } else {
        car_input_start(conn);
    }
}

/* Has the socket tell when it takes more, which it does from then on. */
static bool watch_room(struct car_conn *conn) {
    if (!conn->watches_room) {
        conn->watches_room = car_watch_room(&conn->worker->watches, &conn->watch) == 0;
    }
    return conn->watches_room;
}

/* Hands to the socket what it takes, up to a piece; the rest when the owner has its next turn. `waits`: whether there
 * is something, before and after. false where it fails. */
static bool write_out(struct car_conn *conn, bool *waits) {
    size_t total = 0;
    while (*waits && !conn->blocked) {
        if (total >= CAR_STREAM_PIECE) {
            car_conn_touch(conn);
            break;
        }
        ssize_t written = car_stream_send(conn);
        if (written >= 0) {
            conn->moved = true;
            total += (size_t)written;
            car_conn_charge(conn, (uint64_t)written);
        } else if (errno == EAGAIN) {
            conn->blocked = true;
            return watch_room(conn);
        } else if (errno != EINTR) {
            return false;
        }
        *waits = car_stream_waits(conn);
    }
    return true;
}

static void flush(struct car_conn *conn) {
    bool waited = car_stream_waits(conn);
    bool waits = waited;
    if (!write_out(conn, &waits)) {
        car_conn_close(conn);
    } else if (!waits && !conn->blocked && (waited || conn->finishing)) {
        all_written(conn);
    }
}

static void end(struct car_conn *conn);

static void on_turn(struct car_task *task) {
    struct car_conn *conn = (struct car_conn *)((char *)task - offsetof(struct car_conn, turn));
    if (conn->closing) {
        end(conn);
        return;
    }
    if (conn->held && conn->resume && !conn->finishing && car_conn_pending(conn) <= CAR_CONN_HIGH_WATER) {
        car_input_offer(conn);
        if (!conn->held && !conn->finishing) {
            car_input_start(conn);
        }
    }
    if (!conn->closing) {
        flush(conn);
    }
    if (!conn->closing && conn->blocked) {
        car_out_hold(car_net_local(conn->worker), &conn->out, conn->owner);
    }
    car_tls_hold(conn, conn->cut || conn->closing ? NULL : conn->owner);
    if (conn->blocked || conn->hoard) {
        car_hoard_look_at(conn);
    }
    if (!conn->closing && car_conn_pending(conn) > CAR_CONN_HIGH_WATER) {
        conn->reading = false;
    }
    if (conn->reading && conn->readable) {
        car_input_read(conn);
    }
}

void car_conn_continue(struct car_conn *conn) {
    if (conn->held) {
        conn->resume = true;
        car_conn_touch(conn);
    }
}

/* Time. */

/* How long a peer that takes nothing is waited for. */
static uint64_t stall_ms(const struct car_conn *conn) {
    return car_net_local(conn->worker)->net->idle_timeout_ms;
}

static void on_timer(struct car_timer *timer) {
    struct car_conn *conn = (struct car_conn *)((char *)timer - offsetof(struct car_conn, timer));
    uint64_t now = car_conn_now(conn);
    if (conn->wake_at == UINT64_MAX || conn->closing) {
        return;
    }
    if (now < conn->wake_at) {
        car_timer_set(conn->worker->wheel, timer, conn->wake_at - now);
        return;
    }
    if (!conn->overdue) {
        /* The loop may be late itself: what has come meanwhile is read first. */
        conn->overdue = true;
        car_timer_set(conn->worker->wheel, timer, 1);
        return;
    }
    conn->wake_at = UINT64_MAX;
    if (!conn->finishing) {
        conn->ops->wake(conn);
    } else if (conn->blocked && !conn->hurried && !car_conn_is_stuck(conn)) {
        car_conn_wake_in(conn, stall_ms(conn));
    } else {
        car_conn_close(conn);
    }
}

void car_conn_wake_in(struct car_conn *conn, uint64_t ms) {
    /* A timer that is due earlier stays: it goes off, finds it is too early, and is set again. That spares moving it
     * for every request or message. */
    uint64_t before = conn->wake_at;
    conn->wake_at = car_conn_now(conn) + ms;
    conn->overdue = false;
    if (!car_timer_is_set(&conn->timer) || conn->wake_at + MEANWHILE_MS < before) {
        car_timer_set(conn->worker->wheel, &conn->timer, ms);
    }
}

/* Life. */

static void unlist(struct car_conn *conn) {
    if (conn->pprev) {
        *conn->pprev = conn->next;
    }
    if (conn->next) {
        conn->next->pprev = conn->pprev;
    }
}

void car_conn_list(struct car_conn *conn, struct car_conn **head) {
    unlist(conn);
    conn->next = *head;
    conn->pprev = head;
    if (conn->next) {
        conn->next->pprev = &conn->next;
    }
    *head = conn;
}

struct car_conn *car_conn_open(struct car_worker *worker, int fd, const struct car_conn_ops *ops) {
    struct car_net_local *local = car_net_local(worker);
    struct car_conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        close(fd);
        return NULL;
    }
    conn->ops = ops;
    conn->worker = worker;
    conn->flow = &worker->tasks.common;
    conn->watch.fd = fd;
    conn->wake_at = UINT64_MAX;
    conn->timer.fire = on_timer;
    conn->turn.run = on_turn;
    conn->reading = true;
    car_conn_list(conn, &local->conns);
    car_cell_add(&local->metrics->open[CAR_SPEAKS_HTTP], 1);
    return conn;
}

void car_conn_begin(struct car_conn *conn) {
    /* A client sends its request right behind the handshake: as a rule it is there by now, and need not be waited for.
     */
    conn->readable = true;
    if (car_flow_is_spent(conn->flow)) {
        car_conn_touch(conn);
    } else {
        car_input_read(conn);
    }
    if (!conn->closing && car_watch_add(&conn->worker->watches, &conn->watch) != 0) {
        car_conn_close(conn);
    }
}

void car_conn_secure(struct car_conn *conn, const char *bytes, size_t len) {
    if (!car_tls_begin(conn)) {
        car_conn_close(conn);
    } else if (len > 0 && car_tls_take(conn, bytes, len, conn->worker->read_buf) != 0) {
        car_input_give_up(conn); /* nothing can be said before our side of the handshake */
    }
    car_conn_touch(conn);
}

void car_conn_begin_with(struct car_conn *conn, struct car_buf *input) {
    struct car_buf *held = malloc(sizeof *held);
    if (!held || car_watch_add(&conn->worker->watches, &conn->watch) != 0) {
        free(held);
        car_buf_free(input);
        car_conn_close(conn);
        return;
    }
    *held = *input;
    *input = CAR_BUF_INIT;
    conn->held = held;
    conn->reading = false;
    conn->readable = true;
    car_conn_continue(conn);
}

static void end(struct car_conn *conn) {
    struct car_worker *worker = conn->worker;
    car_hoard_drop(car_net_local(worker), &conn->hoard);
    conn->ops->ended(conn);
    car_timer_clear(worker->wheel, &conn->timer);
    car_task_cancel(&worker->tasks, &conn->turn);
    car_out_clear(car_net_local(worker), &conn->out);
    car_tls_hold(conn, NULL);
    car_tls_free(&conn->tls);
    if (conn->held) {
        car_buf_free(conn->held);
        free(conn->held);
    }
    unlist(conn);
    car_cell_add(&car_net_local(worker)->metrics->open[CAR_SPEAKS_HTTP], UINT64_MAX);
    atomic_fetch_sub_explicit(&worker->turned_away, conn->turned_away, memory_order_relaxed);
    /* Release: who sees the count go down sees all that the connection did, and may then stop the worker. */
    atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_release);
    free(conn);
}

void car_conn_close(struct car_conn *conn) {
    if (!conn->closing) {
        conn->closing = true;
        conn->reading = false;
        car_watch_end(&conn->worker->watches, &conn->watch);
        car_conn_touch(conn);
    }
}

int car_conn_release(struct car_conn *conn, struct car_tls **tls) {
    car_tls_hold(conn, NULL);
    *tls = conn->tls;
    conn->tls = NULL;
    car_watch_remove(&conn->worker->watches, &conn->watch);
    conn->closing = true;
    conn->reading = false;
    car_conn_touch(conn);
    return conn->watch.fd;
}

void car_conn_finish(struct car_conn *conn) {
    if (!conn->finishing && !conn->closing) {
        conn->finishing = true;
        car_conn_wake_in(conn, stall_ms(conn));
        car_conn_touch(conn);
    }
}

void car_conn_finish_within(struct car_conn *conn, uint64_t ms) {
    car_conn_finish(conn);
    if (!conn->closing && !conn->shut) {
        conn->hurried = true;
        car_conn_wake_in(conn, ms);
    }
}

void car_conn_finish_soon(struct car_conn *conn) {
    car_conn_finish(conn);
    if (!conn->closing) {
        conn->moved = false;
        car_conn_wake_in(conn, LINGER_MS);
    }
}
