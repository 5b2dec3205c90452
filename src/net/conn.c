#include "carillon/net/conn.h"

#include <stdlib.h>
#include <unistd.h>

#include "carillon/base/blob.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#include "out.h"

#define PIECES       64   /* blobs in one write */
#define LINGER_MS    2000 /* for the peer's end, after ours is closed */
#define MEANWHILE_MS 50   /* a wake-up this much too early is not worth moving the timer for */

static void on_turn(struct car_task *task);

static struct car_conn *of_task(struct car_task *task) {
    return (struct car_conn *)((char *)task - offsetof(struct car_conn, turn));
}

uint64_t car_conn_now(const struct car_conn *conn) {
    return uv_now(&conn->worker->loop);
}

/* Input. */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct car_conn *conn = handle->data;
    (void)suggested;
    *buf = uv_buf_init(conn->worker->read_buf, CAR_READ_SIZE);
}

static void stop_reading(struct car_conn *conn) {
    if (conn->reading) {
        conn->reading = false;
        uv_read_stop((uv_stream_t *)&conn->tcp);
    }
}

static void hold(struct car_conn *conn, const char *bytes, size_t len) {
    stop_reading(conn);
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

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct car_conn *conn = stream->data;
    if (n == 0 || conn->closing) {
        return;
    }
    if (n < 0) {
        conn->reading = false;
        conn->saw_eof = true;
        if (n != UV_EOF || conn->shut) {
            car_conn_close(conn);
        } else if (!conn->finishing) {
            conn->ops->eof(conn);
        }
        return;
    }
    if (!conn->finishing) {
        give(conn, buf->base, (size_t)n);
    }
}

static void start_reading(struct car_conn *conn) {
    if (!conn->reading && !conn->saw_eof && !conn->closing) {
        conn->reading = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) == 0;
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

/* Output. */

static void touch(struct car_conn *conn) {
    car_task_defer(&conn->worker->tasks, &conn->turn);
}

bool car_conn_write(struct car_conn *conn, struct car_blob *blob) {
    if (conn->closing || conn->finishing) {
        return false;
    }
    struct car_net_local *local = car_net_local(conn->worker);
    if (blob->owner && blob->owner != conn->owner) {
        atomic_fetch_add_explicit(&local->refused_writes, 1, memory_order_relaxed);
        car_log_error("refused to write one tenant's bytes to another's connection; the connection is closed");
        car_conn_close(conn);
        return false;
    }
    if (!conn->out) {
        conn->out = car_out_take(local);
    }
    if (!conn->out || !car_out_add(conn->out, blob)) {
        car_conn_close(conn);
        return false;
    }
    touch(conn);
    return true;
}

bool car_conn_write_copy(struct car_conn *conn, const void *bytes, size_t len) {
    struct car_blob *blob = car_blob_copy(NULL, bytes, len);
    if (!blob) {
        car_conn_close(conn);
        return false;
    }
    bool written = car_conn_write(conn, blob);
    car_blob_unref(&blob);
    return written;
}

size_t car_conn_pending(const struct car_conn *conn) {
    return (conn->out ? conn->out->bytes : 0) + (conn->writing ? conn->writing->bytes : 0);
}

bool car_conn_is_full(struct car_conn *conn) {
    if (conn->writing || car_conn_pending(conn) > CAR_CONN_HIGH_WATER) {
        conn->full = true;
    }
    return conn->full;
}

bool car_conn_is_stuck(struct car_conn *conn) {
    uint64_t taken = conn->given - uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    bool stuck = conn->writing && taken == conn->taken;
    conn->taken = taken;
    return stuck;
}

static void on_shutdown(uv_shutdown_t *req, int status) {
    struct car_conn *conn = req->data;
    free(req);
    if (status < 0 && !conn->closing) {
        car_conn_close(conn);
    }
}

/* Everything is written: our end closes, the peer gets a moment to close its own. */
static void shut(struct car_conn *conn) {
    if (conn->saw_eof) {
        car_conn_close(conn);
        return;
    }
    uv_shutdown_t *req = malloc(sizeof *req);
    if (!req) {
        car_conn_close(conn);
        return;
    }
    req->data = conn;
    conn->shut = true;
    if (uv_shutdown(req, (uv_stream_t *)&conn->tcp, on_shutdown) != 0) {
        free(req);
        car_conn_close(conn);
        return;
    }
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

static void on_written(uv_write_t *req, int status) {
    struct car_conn *conn = req->data;
    struct car_net_local *local = car_net_local(conn->worker);
    struct car_out *out = conn->writing;
    if (status < 0 || conn->closing) {
        car_out_release(local, &conn->writing);
        car_conn_close(conn);
        return;
    }
    uv_buf_t pieces[PIECES];
    unsigned n = car_out_pieces(out, pieces, PIECES);
    size_t written = 0;
    for (unsigned i = 0; i < n; i++) {
        written += pieces[i].len;
    }
    car_out_advance(out, written);
    /* What came meanwhile goes out behind what is left of this. */
    if (out->bytes == 0) {
        car_out_release(local, &conn->writing);
    }
    conn->wrote = true;
    touch(conn);
}

/* Hands as much as possible to the socket; the rest goes to libuv, and conn->writing says so. */
static void write_out(struct car_conn *conn, struct car_out *out) {
    uv_buf_t pieces[PIECES];
    while (out->bytes > 0) {
        unsigned n = car_out_pieces(out, pieces, PIECES);
        int written = uv_try_write((uv_stream_t *)&conn->tcp, pieces, n);
        if (written > 0) {
            conn->given += (uint64_t)written;
            car_out_advance(out, (size_t)written);
            continue;
        }
        if (written != UV_EAGAIN) {
            car_out_release(car_net_local(conn->worker), &out);
            car_conn_close(conn);
            return;
        }
        out->req.data = conn;
        conn->writing = out;
        for (unsigned i = 0; i < n; i++) {
            conn->given += pieces[i].len;
        }
        if (uv_write(&out->req, (uv_stream_t *)&conn->tcp, pieces, n, on_written) != 0) {
            car_conn_close(conn);
        }
        return;
    }
    car_out_release(car_net_local(conn->worker), &out);
}

static void flush(struct car_conn *conn) {
    struct car_out *out = conn->writing;
    bool wrote = conn->wrote || out || conn->out;
    if (out && uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp) > 0) {
        return; /* on_written comes back here */
    }
    if (out) {
        conn->writing = NULL;
        write_out(conn, out);
    }
    if (!conn->closing && !conn->writing && conn->out) {
        out = conn->out;
        conn->out = NULL;
        write_out(conn, out);
    }
    conn->wrote = false;
    if (!conn->closing && !conn->writing && !conn->out && (wrote || conn->finishing)) {
        all_written(conn);
    }
}

static void on_turn(struct car_task *task) {
    struct car_conn *conn = of_task(task);
    if (conn->closing) {
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
        stop_reading(conn);
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
    } else if (conn->writing && !car_conn_is_stuck(conn)) {
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

void car_conn_wake_never(struct car_conn *conn) {
    conn->wake_at = UINT64_MAX;
}

/* Life. */

int car_conn_open(struct car_worker *worker, int fd, const struct car_conn_ops *ops, struct car_conn **out) {
    struct car_net_local *local = car_net_local(worker);
    struct car_conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        close(fd);
        return CAR_ENOMEM;
    }
    conn->ops = ops;
    conn->worker = worker;
    conn->wake_at = UINT64_MAX;
    conn->timer.fire = on_timer;
    conn->turn.run = on_turn;
    uv_tcp_init(&worker->loop, &conn->tcp);
    conn->tcp.data = conn;
    conn->next = local->conns;
    conn->pprev = &local->conns;
    if (conn->next) {
        conn->next->pprev = &conn->next;
    }
    local->conns = conn;
    *out = conn;
    int err = uv_tcp_open(&conn->tcp, fd);
    if (err) {
        close(fd);
        car_conn_close(conn);
        return err;
    }
    start_reading(conn);
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct car_conn *conn = handle->data;
    struct car_net_local *local = car_net_local(conn->worker);
    conn->ops->ended(conn);
    car_timer_clear(conn->worker->wheel, &conn->timer);
    car_task_cancel(&conn->worker->tasks, &conn->turn);
    car_out_release(local, &conn->out);
    car_out_release(local, &conn->writing);
    if (conn->held) {
        car_buf_free(conn->held);
        free(conn->held);
    }
    *conn->pprev = conn->next;
    if (conn->next) {
        conn->next->pprev = conn->pprev;
    }
    atomic_fetch_sub_explicit(&conn->worker->turned_away, conn->turned_away, memory_order_relaxed);
    /* Release: who sees the count go down sees all that the connection did, and may then stop the worker. */
    atomic_fetch_sub_explicit(&conn->worker->connections, 1, memory_order_release);
    free(conn);
}

void car_conn_close(struct car_conn *conn) {
    if (!conn->closing) {
        conn->closing = true;
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
    }
}

void car_conn_finish(struct car_conn *conn) {
    if (!conn->finishing && !conn->closing) {
        conn->finishing = true;
        car_conn_wake_in(conn, stall_ms(conn));
        touch(conn);
    }
}
