#include "carillon/net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/blob.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#define PIECES       64                /* blobs in one write */
#define READS        4                 /* buffers full of input in one turn, before others have theirs */
#define LINGER_MS    2000              /* for the peer's end, after ours is closed */
#define MEANWHILE_MS CAR_TIMER_TICK_MS /* a wake-up this much too early is not worth moving the timer for */

uint64_t car_conn_now(const struct car_conn *conn) {
    return uv_now(&conn->worker->loop);
}

static void touch(struct car_conn *conn) {
    car_task_defer(&conn->worker->tasks, &conn->turn);
}

/* Input. */

static void hold(struct car_conn *conn, const char *bytes, size_t len) {
    conn->reading = false;
    struct car_buf *held = calloc(1, sizeof *held);
    if (held) {
        car_buf_put(held, bytes, len);
    }
    if (!held || held->failed) {
        free(held);
        car_conn_close(conn);
        return;
    }
    conn->held = held;
}

static void give(struct car_conn *conn, char *bytes, size_t len) {
    size_t taken = conn->ops->input(conn, bytes, len);
    if (taken < len && !conn->closing && !conn->finishing) {
        hold(conn, bytes + taken, len - taken);
    }
}

static void give_held(struct car_conn *conn) {
    struct car_buf *held = conn->held;
    conn->held = NULL;
    conn->resume = false;
    give(conn, held->data, held->len);
    car_buf_free(held);
    free(held);
}

static void no_more_input(struct car_conn *conn, bool failed) {
    conn->reading = conn->readable = false;
    conn->saw_eof = true;
    if (failed || conn->shut) {
        car_conn_close(conn);
    } else if (!conn->finishing) {
        conn->ops->eof(conn);
    }
}

/* Reads what there is. A read that does not fill the buffer has emptied the socket, and what comes later is reported
 * anew; where something else may stand behind it, `ending` says so. */
static void read_in(struct car_conn *conn) {
    char *buf = conn->worker->read_buf;
    for (unsigned i = 0; i < READS && conn->reading && conn->readable; i++) {
        ssize_t n = recv(conn->watch.fd, buf, CAR_READ_SIZE, 0);
        if (n > 0) {
            conn->readable = n == CAR_READ_SIZE || conn->ending;
            if (!conn->finishing) {
                give(conn, buf, (size_t)n);
            }
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            no_more_input(conn, n < 0);
        } else if (errno == EAGAIN) {
            conn->readable = false;
        }
    }
    if (conn->reading && conn->readable) {
        car_task_yield(&conn->worker->tasks, &conn->turn);
    }
}

static void start_reading(struct car_conn *conn) {
    if (!conn->reading && !conn->saw_eof && !conn->closing) {
        conn->reading = true;
        if (conn->readable) {
            touch(conn);
        }
    }
}

void car_conn_ready(struct car_watch *watch, unsigned what) {
    struct car_conn *conn = (struct car_conn *)((char *)watch - offsetof(struct car_conn, watch));
    if (conn->closing) {
        return;
    }
    if (conn->blocked && (what & (CAR_WATCH_WRITE | CAR_WATCH_END))) {
        conn->blocked = false;
        touch(conn);
    }
    conn->ending = conn->ending || (what & CAR_WATCH_END);
    if (what & (CAR_WATCH_READ | CAR_WATCH_END)) {
        conn->readable = true;
        read_in(conn);
    }
}

/* Output. */

static bool may_write(struct car_conn *conn, const void *owner) {
    if (conn->closing || conn->finishing) {
        return false;
    }
    if (!car_net_may_write(owner, conn->owner)) {
        car_net_refuse_write(conn->worker);
        car_conn_close(conn);
        return false;
    }
    return true;
}

static bool accepted(struct car_conn *conn, bool added) {
    if (!added) {
        car_conn_close(conn);
        return false;
    }
    touch(conn);
    return true;
}

bool car_conn_write(struct car_conn *conn, struct car_blob *blob) {
    return may_write(conn, blob->owner) && accepted(conn, car_out_add(car_net_local(conn->worker), &conn->out, blob));
}

bool car_conn_write_copy(struct car_conn *conn, const void *owner, struct car_span bytes) {
    return may_write(conn, owner) &&
           accepted(conn, car_out_copy(car_net_local(conn->worker), &conn->out, bytes.ptr, bytes.len));
}

size_t car_conn_pending(const struct car_conn *conn) {
    return car_out_bytes(&conn->out);
}

bool car_conn_is_full(struct car_conn *conn) {
    if (conn->blocked || car_conn_pending(conn) > CAR_CONN_HIGH_WATER) {
        conn->full = true;
    }
    return conn->full;
}

bool car_conn_await_drained(struct car_conn *conn) {
    conn->full = conn->full || !car_out_is_empty(&conn->out);
    return conn->full;
}

bool car_conn_is_stuck(struct car_conn *conn) {
    bool stuck = conn->blocked && !conn->moved;
    conn->moved = false;
    return stuck;
}

/* Everything is written: our end closes, the peer gets a moment to close its own. */
static void shut(struct car_conn *conn) {
    if (conn->saw_eof || shutdown(conn->watch.fd, SHUT_WR) != 0) {
        car_conn_close(conn);
        return;
    }
    conn->shut = true;
    start_reading(conn);
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
        start_reading(conn);
    }
}

static ssize_t send_pieces(const struct car_conn *conn) {
    struct iovec pieces[PIECES];
    struct msghdr message = {.msg_iov = pieces};
    int n = car_out_pieces(&conn->out, pieces, PIECES);
    if (n == 1) {
        return send(conn->watch.fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    }
    message.msg_iovlen = (size_t)n;
    return sendmsg(conn->watch.fd, &message, MSG_NOSIGNAL);
}

/* Has the socket tell when it takes more, which it does from then on. */
static bool watch_room(struct car_conn *conn) {
    if (!conn->watches_room) {
        conn->watches_room = car_watch_room(&conn->worker->watches, &conn->watch) == 0;
    }
    return conn->watches_room;
}

/* Hands as much as possible to the socket. false where it fails. */
static bool write_out(struct car_conn *conn) {
    while (!car_out_is_empty(&conn->out) && !conn->blocked) {
        ssize_t written = send_pieces(conn);
        if (written >= 0) {
            conn->moved = true;
            if (!car_out_advance(car_net_local(conn->worker), &conn->out, (size_t)written)) {
                return false;
            }
        } else if (errno == EAGAIN) {
            conn->blocked = true;
            return watch_room(conn);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void flush(struct car_conn *conn) {
    bool waited = !car_out_is_empty(&conn->out);
    if (!write_out(conn)) {
        car_conn_close(conn);
    } else if (!conn->blocked && (waited || conn->finishing)) {
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
        give_held(conn);
        if (!conn->held && !conn->finishing) {
            start_reading(conn);
        }
    }
    if (!conn->closing) {
        flush(conn);
    }
    if (!conn->closing && car_conn_pending(conn) > CAR_CONN_HIGH_WATER) {
        conn->reading = false;
    }
    if (conn->reading && conn->readable) {
        read_in(conn);
    }
}

void car_conn_continue(struct car_conn *conn) {
    if (conn->held) {
        conn->resume = true;
        touch(conn);
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
    conn->wake_at = UINT64_MAX;
    if (!conn->finishing) {
        conn->ops->wake(conn);
    } else if (conn->blocked && !car_conn_is_stuck(conn)) {
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
    if (!car_timer_is_set(&conn->timer) || conn->wake_at + MEANWHILE_MS < before) {
        car_timer_set(conn->worker->wheel, &conn->timer, ms);
    }
}

/* Life. */

struct car_conn *car_conn_open(struct car_worker *worker, int fd, const struct car_conn_ops *ops) {
    struct car_net_local *local = car_net_local(worker);
    struct car_conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        close(fd);
        return NULL;
    }
    conn->ops = ops;
    conn->worker = worker;
    conn->watch.fd = fd;
    conn->wake_at = UINT64_MAX;
    conn->timer.fire = on_timer;
    conn->turn.run = on_turn;
    conn->reading = true;
    conn->next = local->conns;
    conn->pprev = &local->conns;
    if (conn->next) {
        conn->next->pprev = &conn->next;
    }
    local->conns = conn;
    return conn;
}

void car_conn_begin(struct car_conn *conn) {
    /* A client sends its request right behind the handshake: as a rule it is there by now, and need not be waited for.
     */
    conn->readable = true;
    read_in(conn);
    if (!conn->closing && car_watch_add(&conn->worker->watches, &conn->watch) != 0) {
        car_conn_close(conn);
    }
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
    conn->ops->ended(conn);
    car_timer_clear(worker->wheel, &conn->timer);
    car_task_cancel(&worker->tasks, &conn->turn);
    car_out_clear(car_net_local(worker), &conn->out);
    if (conn->held) {
        car_buf_free(conn->held);
        free(conn->held);
    }
    *conn->pprev = conn->next;
    if (conn->next) {
        conn->next->pprev = conn->pprev;
    }
    atomic_fetch_sub_explicit(&worker->turned_away, conn->turned_away, memory_order_relaxed);
    /* Release: who sees the count go down sees all that the connection did, and may then stop the worker. */
    atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_release);
    free(conn);
}

void car_conn_close(struct car_conn *conn) {
    if (!conn->closing) {
        conn->closing = true;
        conn->reading = false;
        close(conn->watch.fd);
        touch(conn);
    }
}

int car_conn_release(struct car_conn *conn) {
    car_watch_remove(&conn->worker->watches, &conn->watch);
    conn->closing = true;
    conn->reading = false;
    touch(conn);
    return conn->watch.fd;
}

void car_conn_finish(struct car_conn *conn) {
    if (!conn->finishing && !conn->closing) {
        conn->finishing = true;
        car_conn_wake_in(conn, stall_ms(conn));
        touch(conn);
    }
}
