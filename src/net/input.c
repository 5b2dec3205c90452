#include "input.h"

#include <errno.h>
#include <stdlib.h>

#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#include "conn_turn.h"
#include "hoard.h"
#include "stream.h"
#include "tls.h"

#define READ_SHORT  (8u << 10)  /* read at a time while others wait */
#define READ_WEIGHT 8           /* a byte of input costs as much as so many of output: it is parsed, and answered */
#define SHAKE_COST  (96u << 10) /* of each of the two or three reads of a TLS handshake, for its arithmetic */

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
        car_hoard_look_at(conn);
    } else if (conn->hoard) {
        car_hoard_look_at(conn);
    }
}

void car_input_offer(struct car_conn *conn) {
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

void car_input_give_up(struct car_conn *conn) {
    car_out_clear(car_net_local(conn->worker), &conn->out);
    conn->reading = false;
    car_conn_finish(conn);
}

/* A read that does not fill the buffer has emptied the socket, and what comes later is reported anew; where something
 * else may stand behind it, `ending` says so. */
void car_input_read(struct car_conn *conn) {
    char *buf = conn->worker->read_buf;
    bool others = car_tasks_others_wait(&conn->worker->tasks, conn->flow);
    struct car_intake intake = {.size = others ? READ_SHORT : CAR_READ_SIZE};
    if (conn->reading && conn->readable) {
        ssize_t n = car_stream_recv(conn, buf, &intake);
        car_conn_charge(conn, intake.bytes * READ_WEIGHT + (intake.shakes ? SHAKE_COST : 0));
        if (conn->tls && car_tls_waiting(conn->tls)) {
            car_conn_touch(conn); /* there is something to answer to what came */
        }
        if (n > 0) {
            conn->readable = intake.more;
            if (!conn->finishing) {
                give(conn, buf, (size_t)n);
            }
        } else if (n < 0 && errno == EPROTO && conn->tls) {
            car_input_give_up(conn);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            no_more_input(conn, n < 0);
        } else if (errno == EAGAIN) {
            conn->readable = false;
        }
    }
    if (conn->reading && conn->readable) {
        car_conn_touch(conn);
    }
}

void car_input_start(struct car_conn *conn) {
    if (!conn->reading && !conn->saw_eof && !conn->closing) {
        conn->reading = true;
        if (conn->readable) {
            car_conn_touch(conn);
        }
    }
}
