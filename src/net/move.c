#include "move.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

static void on_arrival(struct car_note *note, void *owner) {
    struct car_move *move = (struct car_move *)note; /* its first member */
    struct car_worker *worker = owner;
    if (car_net_local(worker)->aborted) {
        close(move->fd);
        atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_release);
    } else {
        car_http_conn_take(worker, move->fd, move->peer_known ? &move->peer : NULL, &move->input);
    }
    car_move_free(&move);
}

struct car_move *car_move_new(void) {
    struct car_move *move = calloc(1, sizeof *move);
    if (move) {
        move->note.run = on_arrival;
    }
    return move;
}

void car_move_free(struct car_move **move) {
    if (*move) {
        car_buf_free(&(*move)->input);
        free(*move);
        *move = NULL;
    }
}

void car_move_post(struct car_move *move, int fd, struct car_worker *from, struct car_worker *to) {
    move->fd = fd;
    /* In this order, and both before it is no longer counted here: partner of car_net_left. */
    atomic_fetch_add(&to->connections, 1);
    atomic_fetch_add(&car_net_local(from)->net->moves, 1);
    car_worker_post(from, to, &move->note);
}
