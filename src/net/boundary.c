#include "carillon/net/boundary.h"

#include <stdatomic.h>

#include "carillon/base/blob.h"
#include "carillon/base/log.h"
#include "carillon/net/conn.h"
#include "carillon/net/net.h"

#include "conn_turn.h"

#define LARGE (16u << 10) /* what is written at a time and counts before a socket has refused it */

void car_net_refuse_write(struct car_worker *worker) {
    atomic_fetch_add_explicit(&car_net_local(worker)->refused_writes, 1, memory_order_relaxed);
    car_log_error("refused to write one tenant's bytes to another's connection; the connection is closed");
}

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
    car_conn_touch(conn);
    return true;
}

bool car_conn_write(struct car_conn *conn, struct car_blob *blob) {
    return may_write(conn, blob->owner) && accepted(conn, car_out_add(car_net_local(conn->worker), &conn->out, blob));
}

bool car_conn_write_copy(struct car_conn *conn, const void *owner, struct car_span bytes) {
    struct car_net_local *local = car_net_local(conn->worker);
    bool good = may_write(conn, owner) && accepted(conn, car_out_copy(local, &conn->out, bytes.ptr, bytes.len));
    if (bytes.len > LARGE && good) {
        car_out_hold(local, &conn->out, conn->owner); /* others of this turn are to know of it */
    }
    return good;
}
