#include "secure.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "conn.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static SSL_CTX *shared; /* never freed; NULL where there was no memory */

static void make_shared(void) {
    shared = SSL_CTX_new(TLS_client_method());
    if (shared) {
        SSL_CTX_set_mode(shared, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                     SSL_MODE_RELEASE_BUFFERS);
    }
}

bool secure_begin(struct conn *conn) {
    pthread_once(&once, make_shared);
    conn->tls = shared ? SSL_new(shared) : NULL;
    if (!conn->tls || SSL_set_fd(conn->tls, conn->fd) != 1) {
        return false;
    }
    SSL_set_connect_state(conn->tls);
    return true;
}

/* What the result of a call comes to, that has moved nothing. */
static ssize_t outcome(struct conn *conn, int result) {
    switch (SSL_get_error(conn->tls, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = errno && errno != EAGAIN ? errno : EPROTO;
        return -1;
    }
}

ssize_t secure_send(struct conn *conn, const void *bytes, size_t len) {
    size_t done = 0;
    ERR_clear_error();
    int result = SSL_write_ex(conn->tls, bytes, len, &done);
    return result == 1 ? (ssize_t)done : outcome(conn, result);
}

ssize_t secure_recv(struct conn *conn, void *buffer, size_t len) {
    size_t done = 0;
    ERR_clear_error();
    int result = SSL_read_ex(conn->tls, buffer, len, &done);
    return result == 1 ? (ssize_t)done : outcome(conn, result);
}

void secure_free(struct conn *conn) {
    SSL_free(conn->tls);
    conn->tls = NULL;
}
