#include "stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "carillon/base/blob.h"
#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/net/out.h"

#include "tls.h"

#define PIECES 64 /* blobs in one write */

ssize_t car_stream_recv(struct car_conn *conn, char *buf, struct car_intake *intake) {
    if (conn->tls) {
        return car_tls_recv(conn, buf, intake);
    }
    ssize_t n = recv(conn->watch.fd, buf, intake->size, 0);
    intake->bytes = n > 0 ? (size_t)n : 0;
    intake->more = intake->bytes == intake->size || conn->ending;
    return n;
}

/* No more than is written at a time. Returns how many pieces that are. */
static int cut(struct iovec *pieces, int count) {
    size_t left = CAR_STREAM_PIECE;
    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len >= left) {
            pieces[i].iov_len = left;
            return i + 1;
        }
        left -= pieces[i].iov_len;
    }
    return count;
}

static ssize_t send_pieces(const struct car_conn *conn) {
    const struct car_blob *only = conn->out.only;
    if (only && only->len <= CAR_STREAM_PIECE) {
        return send(conn->watch.fd, only->data, only->len, MSG_NOSIGNAL);
    }
    struct iovec pieces[PIECES];
    struct msghdr message = {.msg_iov = pieces};
    int n = car_out_pieces(&conn->out, pieces, PIECES);
    if (car_out_bytes(&conn->out) > CAR_STREAM_PIECE) {
        n = cut(pieces, n);
    }
    if (n == 1) {
        return send(conn->watch.fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    }
    message.msg_iovlen = (size_t)n;
    return sendmsg(conn->watch.fd, &message, MSG_NOSIGNAL);
}

ssize_t car_stream_send(struct car_conn *conn) {
    if (conn->tls) {
        return car_tls_send(conn);
    }
    ssize_t n = send_pieces(conn);
    if (n >= 0 && !car_out_advance(car_net_local(conn->worker), &conn->out, (size_t)n)) {
        errno = ENOMEM;
        return -1;
    }
    return n;
}

bool car_stream_waits(const struct car_conn *conn) {
    if (conn->tls) {
        return car_tls_waiting(conn->tls) || (!car_out_is_empty(&conn->out) && car_tls_is_open(conn->tls));
    }
    return !car_out_is_empty(&conn->out);
}
