#include "peer.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "carillon/base/err.h"
#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/proto/proxy.h"
#include "carillon/runtime/worker.h"

/* Another connection may have the descriptor's number by the time that this one is closing. */
static int ask_socket(struct car_conn_peer *peer, const struct car_conn *conn) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t len = sizeof address;
    if (conn->closing || getpeername(conn->watch.fd, &address.any, &len) != 0) {
        return CAR_ECLOSED;
    }
    int err = car_address_of_sockaddr(&address.any, len, &peer->address);
    peer->known = !err;
    return err;
}

int car_conn_peer_begin(struct car_conn_peer *peer, const struct car_conn *conn) {
    const struct car_net *net = car_net_local(conn->worker)->net;
    if (!net->proxy_protocol) {
        return CAR_OK;
    }
    int err = ask_socket(peer, conn);
    if (err == CAR_EINVAL || (!err && !car_cidr_any_has(net->trusted, net->trusted_count, &peer->address))) {
        return CAR_OK;
    }
    if (err) {
        return err;
    }
    peer->header = calloc(1, sizeof *peer->header);
    return peer->header ? CAR_OK : CAR_ENOMEM;
}

int car_conn_peer_feed(struct car_conn_peer *peer, const char *bytes, size_t len, size_t *consumed) {
    struct car_proxy *header = peer->header;
    int err = car_proxy_feed(header, bytes, len, consumed);
    if (!err && header->done) {
        if (header->has_addresses) {
            peer->address = header->source;
        }
        car_conn_peer_free(peer);
    }
    return err;
}

int car_conn_peer_get(struct car_conn_peer *peer, const struct car_conn *conn, struct car_address *out) {
    int err = peer->known ? CAR_OK : ask_socket(peer, conn);
    if (!err) {
        *out = peer->address;
    }
    return err;
}

void car_conn_peer_free(struct car_conn_peer *peer) {
    free(peer->header);
    peer->header = NULL;
}
