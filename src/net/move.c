#include "move.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/net/conn.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#include "tls.h"

static void on_arrival(struct car_note *note, void *owner) {
    struct car_move *move = (struct car_move *)note; /* its first member */
    struct car_worker *worker = owner;
    if (car_net_local(worker)->aborted) {
        close(move->fd);
        atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_release);
    } else {
        struct car_tls *tls = move->tls;
        move->tls = NULL;
        car_http_conn_take(worker, move->fd, tls, move->peer_known ? &move->peer : NULL, &move->input);
    }
    car_move_free(&move);
}

struct car_move *car_move_new(struct car_worker *to) {
    struct car_move *move = calloc(1, sizeof *move);
    if (move) {
        move->note.run = on_arrival;
        move->to = to;
    }
    return move;
}

void car_move_free(struct car_move **move) {
    if (*move) {
        car_tls_free(&(*move)->tls);
        car_buf_free(&(*move)->input);
        free(*move);
        *move = NULL;
    }
}

void car_move_depart(struct car_move **slot, struct car_conn *conn) {
    struct car_move *move = *slot;
    if (conn->held) {
        car_buf_span(&move->input, car_buf_view(conn->held));
    }
    if (move->input.failed) {
        car_conn_close(conn);
        return;
    }
    *slot = NULL;
    move->fd = car_conn_release(conn, &move->tls);
    /* In this order, and both before it is no longer counted here: partner of car_net_left. */
    atomic_fetch_add(&move->to->connections, 1);
    atomic_fetch_add(&car_net_local(conn->worker)->net->moves, 1);
    car_worker_post(conn->worker, move->to, &move->note);
}
