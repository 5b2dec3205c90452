#ifndef CARILLON_NET_CONN_TURN_H
#define CARILLON_NET_CONN_TURN_H

#include "carillon/net/conn.h"
#include "carillon/runtime/flow.h"
#include "carillon/runtime/worker.h"

/* What the parts of a connection share: its life and its turns (conn.c), what comes in (input.c), and what may go out
 * (boundary.c). On its worker. */

/* Has its turn come, with its flow's. */
static inline void car_conn_touch(struct car_conn *conn) {
    car_flow_defer(&conn->worker->tasks, conn->flow, &conn->turn);
}

/* A system call that moved so many bytes, or as much work as goes with them. */
static inline void car_conn_charge(struct car_conn *conn, uint64_t bytes) {
    car_flow_charge(&conn->worker->tasks, conn->flow, bytes + CAR_FLOW_CALL);
}

#endif
