#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "carillon/base/buf.h"
#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/net/out.h"
#include "carillon/runtime/worker.h"

#include "stream.h"
#include "tls_context.h"

#define RECORD 16384u       /* the most that a record holds (RFC 8446, section 5.1) */
#define BATCH  (4 * RECORD) /* what is put into records at a time */
#define PIECES 256          /* blobs that are put into one record */
#define INTAKE                                                                                                         \
    (CAR_READ_SIZE / 2) /* bytes read at a time: with a record begun earlier, what they hold fits a read buffer */
#define UNTAKEN_MAX (2 * BATCH) /* what may wait for a peer that makes us answer and does not read */

/* What a client may send before the handshake is over. It is far less, but for what a client's certificate takes. */
#define HANDSHAKE_MAX (96u << 10)

struct car_tls_desk {
    BIO *bio;
    struct car_span input;  /* records that libssl has not taken yet */
    struct car_buf records; /* that it has written */
    char room[INTAKE];
    char gathered[RECORD];
};

struct car_tls {
    SSL *ssl;
    struct car_buf untaken; /* records that the socket has not taken; without memory where there are none */
    struct car_held held;   /* its memory */
    uint32_t handshake;     /* bytes that its handshake took so far */
    bool begun : 1;         /* something has been read */
    bool open : 1;          /* the handshake is over */
    bool certified : 1;
    bool ended : 1;  /* the peer says no more */
    bool failed : 1; /* nothing can be said any more, but for what is in `untaken` */
};

static struct car_tls_desk *desk_of(const struct car_conn *conn) {
    return car_net_local(conn->worker)->tls;
}

/* The BIO: reads what lies on the desk, and writes to it. */

static int on_read(BIO *bio, char *out, size_t len, size_t *n) {
    struct car_tls_desk *desk = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (desk->input.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *n = len < desk->input.len ? len : desk->input.len;
    memcpy(out, desk->input.ptr, *n);
    desk->input.ptr += *n;
    desk->input.len -= *n;
    return 1;
}

static int on_write(BIO *bio, const char *bytes, size_t len, size_t *n) {
    struct car_tls_desk *desk = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    car_buf_put(&desk->records, bytes, len);
    *n = len;
    return !desk->records.failed;
}

static long on_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method; /* the process's, never freed; NULL where there was no memory */

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "carillon");
    if (method && (BIO_meth_set_read_ex(method, on_read) != 1 || BIO_meth_set_write_ex(method, on_write) != 1 ||
                   BIO_meth_set_ctrl(method, on_control) != 1)) {
        BIO_meth_free(method);
        method = NULL;
    }
}

struct car_tls_desk *car_tls_desk_new(void) {
    pthread_once(&method_once, make_method);
    struct car_tls_desk *desk = calloc(1, sizeof *desk);
    if (!desk) {
        return NULL;
    }
    desk->bio = method ? BIO_new(method) : NULL;
    if (!desk->bio) {
        free(desk);
        return NULL;
    }
    BIO_set_data(desk->bio, desk);
    BIO_set_init(desk->bio, 1);
    return desk;
}

void car_tls_desk_free(struct car_tls_desk **desk) {
    if (*desk) {
        BIO_free((*desk)->bio);
        car_buf_free(&(*desk)->records);
        free(*desk);
        *desk = NULL;
    }
}

/* Life. */

void car_tls_arrive(struct car_tls *tls, const struct car_net_local *local) {
    (void)BIO_up_ref(local->tls->bio);
    SSL_set_bio(tls->ssl, local->tls->bio, local->tls->bio);
}

void car_tls_free(struct car_tls **tls) {
    if (*tls) {
        SSL_free((*tls)->ssl);
        car_buf_free(&(*tls)->untaken);
        free(*tls);
        *tls = NULL;
    }
}

bool car_tls_begin(struct car_conn *conn) {
    struct car_tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        return false;
    }
    tls->ssl = car_tls_context_ssl(car_net_local(conn->worker)->net, conn->worker->reader);
    if (!tls->ssl) {
        free(tls);
        return false;
    }
    SSL_set_accept_state(tls->ssl);
    car_tls_arrive(tls, car_net_local(conn->worker));
    conn->tls = tls;
    return true;
}

size_t car_tls_waiting(const struct car_tls *tls) {
    return tls->untaken.len;
}

void car_tls_hold(struct car_conn *conn, const void *owner) {
    if (conn->tls) {
        car_net_hold(car_net_local(conn->worker), &conn->tls->held, owner, conn->tls->untaken.cap);
    }
}

size_t car_tls_held(const struct car_tls *tls) {
    return tls->held.bytes;
}

bool car_tls_is_open(const struct car_tls *tls) {
    return tls->open && !tls->failed;
}

bool car_tls_is_shaking(const struct car_conn *conn) {
    const struct car_tls *tls = conn->tls;
    return tls && (tls->begun || conn->readable) && !tls->open && !tls->ended && !tls->failed;
}

bool car_tls_is_certified(const struct car_tls *tls) {
    return tls->certified;
}

/* Reading. */

static ssize_t give_up(struct car_tls *tls, int error) {
    tls->failed = true;
    errno = error;
    return -1;
}

/* Puts what libssl has written behind what the socket has not taken. */
static bool put_aside(struct car_tls *tls, struct car_tls_desk *desk) {
    car_buf_span(&tls->untaken, car_buf_view(&desk->records));
    bool good = !desk->records.failed && !tls->untaken.failed;
    if (!good) {
        car_buf_free(&desk->records);
        car_buf_free(&tls->untaken);
    }
    desk->records.len = 0;
    return good;
}

/* No record begins with a capital letter, and each of HTTP's methods does. */
static bool is_plain(char first) {
    return first >= 'A' && first <= 'Z';
}

static void look_at_handshake(struct car_tls *tls, size_t len) {
    tls->handshake += (uint32_t)len;
    if (SSL_is_init_finished(tls->ssl)) {
        tls->open = true;
        tls->certified = SSL_get_verify_mode(tls->ssl) & SSL_VERIFY_PEER && SSL_get0_peer_certificate(tls->ssl) &&
                         SSL_get_verify_result(tls->ssl) == X509_V_OK;
    } else if (tls->handshake > HANDSHAKE_MAX) {
        tls->failed = true;
    }
}

/* What the records on the desk say; how much that is. Then they are used up, unless the peer has ended or failed. */
static size_t decipher(struct car_tls *tls, char *out) {
    size_t len = 0;
    ERR_clear_error();
    while (len < CAR_READ_SIZE) {
        size_t got = 0;
        if (SSL_read_ex(tls->ssl, out + len, CAR_READ_SIZE - len, &got) == 1) {
            len += got;
            continue;
        }
        int error = SSL_get_error(tls->ssl, 0);
        tls->ended = error == SSL_ERROR_ZERO_RETURN;
        tls->failed = error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_WANT_READ;
        break;
    }
    return len;
}

ssize_t car_tls_take(struct car_conn *conn, const char *records, size_t len, char *out) {
    struct car_tls *tls = conn->tls;
    struct car_tls_desk *desk = desk_of(conn);
    if (!tls->begun && is_plain(records[0])) {
        car_buf_span(&tls->untaken, CAR_SPAN("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                                             "Content-Length: 28\r\nConnection: close\r\n\r\n"
                                             "this port speaks HTTPS only\n"));
        return give_up(tls, EPROTO);
    }
    tls->begun = true;
    desk->input = car_span_of(records, len);
    size_t said = decipher(tls, out);
    desk->input = car_span_of(NULL, 0);
    if (!tls->open) {
        look_at_handshake(tls, len);
    }
    if (!put_aside(tls, desk)) {
        return give_up(tls, ENOMEM);
    }
    if (tls->untaken.len > UNTAKEN_MAX || (tls->failed && said == 0)) {
        return give_up(tls, EPROTO);
    }
    return (ssize_t)said;
}

ssize_t car_tls_recv(struct car_conn *conn, char *buf, struct car_intake *intake) {
    struct car_tls *tls = conn->tls;
    struct car_tls_desk *desk = desk_of(conn);
    size_t size = conn->finishing || intake->size < INTAKE ? intake->size : INTAKE;
    intake->more = true;
    if (tls->failed && !conn->finishing) {
        return give_up(tls, EPROTO);
    }
    /* While it is finishing, what comes is thrown away as it is. */
    bool ended = tls->ended && !conn->finishing;
    ssize_t n = ended ? 0 : recv(conn->watch.fd, conn->finishing ? buf : desk->room, size, 0);
    intake->bytes = n > 0 ? (size_t)n : 0;
    bool whole = intake->bytes == size || conn->ending;
    if (conn->finishing || n <= 0) {
        intake->more = whole || !conn->finishing;
        return n;
    }
    intake->shakes = !tls->open;
    n = car_tls_take(conn, desk->room, intake->bytes, buf);
    intake->more = whole || tls->ended || tls->failed;
    if (n == 0 && !tls->ended) {
        errno = intake->more ? EINTR : EAGAIN;
        return -1;
    }
    return n;
}

/* Writing. */

/* What goes into the next record, or records. Borrowed from what waits, or gathered on the desk from small blobs. */
static struct car_span next_of(const struct car_out *out, struct car_tls_desk *desk) {
    struct iovec pieces[PIECES];
    int count = car_out_pieces(out, pieces, PIECES);
    size_t len = pieces[0].iov_len;
    if (count == 1 || len >= RECORD) {
        len = len > BATCH ? BATCH : len;
        return car_span_of(pieces[0].iov_base, count > 1 ? len - len % RECORD : len);
    }
    len = 0;
    for (int i = 0; i < count && len < RECORD; i++) {
        size_t part = pieces[i].iov_len < RECORD - len ? pieces[i].iov_len : RECORD - len;
        memcpy(desk->gathered + len, pieces[i].iov_base, part);
        len += part;
    }
    return car_span_of(desk->gathered, len);
}

static bool encipher(struct car_conn *conn, struct car_tls_desk *desk) {
    while (!car_out_is_empty(&conn->out) && desk->records.len < BATCH) {
        struct car_span next = next_of(&conn->out, desk);
        size_t put = 0;
        if (SSL_write_ex(conn->tls->ssl, next.ptr, next.len, &put) != 1 ||
            !car_out_advance(car_net_local(conn->worker), &conn->out, put)) {
            return false;
        }
    }
    return !desk->records.failed;
}

/* Sends what the socket has not taken before. */
static ssize_t send_untaken(struct car_conn *conn) {
    struct car_buf *untaken = &conn->tls->untaken;
    ssize_t n = send(conn->watch.fd, untaken->data, untaken->len, MSG_NOSIGNAL);
    if (n > 0 && (size_t)n == untaken->len) {
        car_buf_free(untaken);
    } else if (n > 0) {
        car_buf_consume(untaken, (size_t)n);
    }
    return n;
}

/* What the socket does not take of the desk's records has to wait; `n` is what send(2) has returned. */
static ssize_t put_rest_aside(struct car_tls *tls, struct car_tls_desk *desk, ssize_t n) {
    size_t taken = n > 0 ? (size_t)n : 0;
    int why = errno;
    car_buf_put(&tls->untaken, desk->records.data + taken, desk->records.len - taken);
    desk->records.len = 0;
    if (tls->untaken.failed) {
        return give_up(tls, ENOMEM);
    }
    errno = why;
    return n;
}

ssize_t car_tls_send(struct car_conn *conn) {
    struct car_tls *tls = conn->tls;
    struct car_tls_desk *desk = desk_of(conn);
    if (!car_tls_is_open(tls) || tls->untaken.len > RECORD) {
        return send_untaken(conn);
    }
    car_buf_span(&desk->records, car_buf_view(&tls->untaken));
    car_buf_free(&tls->untaken);
    if (!encipher(conn, desk)) {
        car_buf_free(&desk->records);
        return give_up(tls, EPROTO);
    }
    ssize_t n = send(conn->watch.fd, desk->records.data, desk->records.len, MSG_NOSIGNAL);
    return put_rest_aside(tls, desk, n);
}

void car_tls_shut(struct car_conn *conn) {
    struct car_tls *tls = conn->tls;
    struct car_tls_desk *desk = desk_of(conn);
    if (car_tls_is_open(tls)) {
        (void)SSL_shutdown(tls->ssl);
        /* Where there is no room for it, the end of the stream has to do. */
        (void)send(conn->watch.fd, desk->records.data, desk->records.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        desk->records.len = 0;
    }
}
