#include "net/tls.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/blob.h"
#include "carillon/net/boundary.h"
#include "carillon/net/conn.h"
#include "carillon/net/net.h"
#include "carillon/net/tls.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "certificates.h"
#include "suite.h"

#define BIG 400000u

static char cert[] = "/tmp/carillon-tls-cert-XXXXXX", key[] = "/tmp/carillon-tls-key-XXXXXX";

/* One connection of a worker whose loop the test turns by hand; `client` is libssl's own side of it. */
static struct {
    struct car_reclaim *reclaim;
    struct car_worker *worker;
    struct car_net net;
    struct car_conn *conn;
    SSL_CTX *trusting;
    SSL *client;
    int peer;
    struct car_buf input; /* what the protocol got */
    unsigned inputs, eofs, drains, ends;
} t;

static size_t on_input(struct car_conn *conn, char *bytes, size_t len) {
    (void)conn;
    t.inputs++;
    car_buf_put(&t.input, bytes, len);
    return len;
}

static void on_eof(struct car_conn *conn) {
    t.eofs++;
    car_conn_finish(conn);
}

static void on_drained(struct car_conn *conn) {
    (void)conn;
    t.drains++;
}

static void on_wake(struct car_conn *conn) {
    car_conn_finish(conn);
}

static void on_ended(struct car_conn *conn) {
    (void)conn;
    t.ends++;
}

static const struct car_conn_ops OPS = {
    .input = on_input, .eof = on_eof, .drained = on_drained, .wake = on_wake, .leave = on_wake, .ended = on_ended};

static void turn(unsigned times) {
    while (times--) {
        uv_run(&t.worker->loop, UV_RUN_NOWAIT);
    }
}

static void load(void) {
    struct car_tls_files files = {.cert = cert, .key = key};
    struct car_tls_context *context = NULL;
    struct car_buf error = CAR_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(car_tls_context_load(&files, NULL, &context, &error), 0);
    atomic_store(&t.net.tls, context);
}

static void set_up(int version) {
    int ends[2];
    memset(&t, 0, sizeof t);
    t.net.idle_timeout_ms = 60000;
    load();
    t.reclaim = car_reclaim_new();
    CU_ASSERT_EQUAL_FATAL(car_worker_open(&t.worker, 0, t.reclaim), 0);
    CU_ASSERT_EQUAL_FATAL(car_net_attach(&t.net, t.worker), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    t.peer = ends[1];
    atomic_store(&t.worker->connections, 1);
    t.conn = car_conn_open(t.worker, ends[0], &OPS);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.conn);
    car_conn_secure(t.conn, NULL, 0);
    car_conn_begin(t.conn);
    t.trusting = SSL_CTX_new(TLS_client_method());
    CU_ASSERT_EQUAL(SSL_CTX_set_max_proto_version(t.trusting, version), 1);
    t.client = SSL_new(t.trusting);
    SSL_set_fd(t.client, t.peer);
    SSL_set_connect_state(t.client);
}

static void shake_hands(void) {
    for (int i = 0; i < 20 && SSL_do_handshake(t.client) != 1; i++) {
        turn(2);
    }
    turn(2);
    CU_ASSERT_TRUE_FATAL(SSL_is_init_finished(t.client));
    CU_ASSERT_TRUE_FATAL(car_tls_is_open(t.conn->tls));
    CU_ASSERT_FALSE(car_tls_is_certified(t.conn->tls));
    char byte;
    CU_ASSERT_EQUAL(SSL_read(t.client, &byte, 1), -1); /* takes the tickets in */
}

static void tear_down(void) {
    if (t.ends == 0) {
        car_conn_close(t.conn);
    }
    turn(2);
    CU_ASSERT_EQUAL(t.ends, 1);
    SSL_free(t.client);
    SSL_CTX_free(t.trusting);
    close(t.peer);
    car_worker_join(t.worker);
    car_net_detach(t.worker);
    car_worker_close(&t.worker);
    car_reclaim_free(&t.reclaim);
    struct car_tls_context *context = atomic_load(&t.net.tls);
    car_tls_context_free(&context);
    car_buf_free(&t.input);
}

static void say(const char *text) {
    CU_ASSERT_EQUAL(SSL_write(t.client, text, (int)strlen(text)), (int)strlen(text));
}

static int waiting_at_peer(void) {
    int bytes = 0;
    CU_ASSERT_EQUAL(ioctl(t.peer, FIONREAD, &bytes), 0);
    return bytes;
}

static const int VERSIONS[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void test_both_ways(void) {
    for (size_t v = 0; v < 2; v++) {
        char got[16] = "";
        set_up(VERSIONS[v]);
        shake_hands();
        say("hello");
        turn(1);
        CU_ASSERT_EQUAL(t.input.len, 5);
        CU_ASSERT_TRUE(car_conn_write_copy(t.conn, NULL, CAR_SPAN("answer")));
        turn(1);
        CU_ASSERT_EQUAL(SSL_read(t.client, got, sizeof got), 6);
        CU_ASSERT_STRING_EQUAL(got, "answer");
        CU_ASSERT_EQUAL(car_tls_waiting(t.conn->tls), 0);
        tear_down();
    }
}

/* Every byte on its own: records that are not whole wait in libssl. */
static void test_byte_by_byte(void) {
    set_up(TLS1_3_VERSION);
    BIO *out = BIO_new(BIO_s_mem());
    BIO *in = BIO_new(BIO_s_mem());
    SSL_set_bio(t.client, in, out);
    for (int i = 0; i < 4000 && !(SSL_is_init_finished(t.client) && car_tls_is_open(t.conn->tls)); i++) {
        char bytes[4096];
        (void)SSL_do_handshake(t.client);
        while (BIO_read(out, bytes, 1) == 1) {
            CU_ASSERT_EQUAL(send(t.peer, bytes, 1, 0), 1);
            turn(1);
        }
        ssize_t n = recv(t.peer, bytes, sizeof bytes, 0);
        if (n > 0) {
            BIO_write(in, bytes, (int)n);
        }
    }
    say("hello");
    say(" you");
    char byte;
    while (BIO_read(out, &byte, 1) == 1) {
        CU_ASSERT_EQUAL(send(t.peer, &byte, 1, 0), 1);
        turn(1);
    }
    CU_ASSERT_EQUAL(t.inputs, 2);
    CU_ASSERT_EQUAL_FATAL(t.input.len, 9);
    CU_ASSERT_EQUAL(memcmp(t.input.data, "hello you", 9), 0);
    tear_down();
}

/* What waits at the end of a turn is one record, however many pieces it has; a piece that is large is not copied. */
static void test_pieces_share_a_record(void) {
    set_up(TLS1_3_VERSION);
    shake_hands();
    struct car_blob *blob = car_blob_new(NULL, 40);
    memset(blob->data, 'b', 40);
    for (int i = 0; i < 100; i++) {
        CU_ASSERT_TRUE(car_conn_write(t.conn, blob));
    }
    turn(1);
    CU_ASSERT_EQUAL(waiting_at_peer(), 4000 + 5 + 1 + 16); /* its head, its type, its tag */
    static char got[16384];
    CU_ASSERT_EQUAL(SSL_read(t.client, got, sizeof got), 4000);
    car_blob_unref(&blob);
    tear_down();
}

/* More than the socket takes: all of it arrives, in order, and those who wait for room are told once it has gone. */
static void test_more_than_the_socket_takes(void) {
    for (size_t v = 0; v < 2; v++) {
        static unsigned char got[16384];
        size_t seen = 0;
        bool good = true;
        set_up(VERSIONS[v]);
        shake_hands();
        struct car_blob *blob = car_blob_new(NULL, BIG);
        for (size_t i = 0; i < BIG; i++) {
            blob->data[i] = (char)(i * 31 >> 3);
        }
        CU_ASSERT_TRUE(car_conn_write(t.conn, blob));
        CU_ASSERT_TRUE(car_conn_write_copy(t.conn, NULL, CAR_SPAN("end")));
        turn(2);
        CU_ASSERT_TRUE(car_conn_is_full(t.conn));
        CU_ASSERT_TRUE(car_tls_waiting(t.conn->tls) > 0 && car_tls_waiting(t.conn->tls) < 100000);
        for (int i = 0; i < 1000 && seen < BIG + 3; i++) {
            int n = SSL_read(t.client, got, sizeof got);
            for (int k = 0; k < n && seen + (size_t)k < BIG; k++) {
                good = good && got[k] == (unsigned char)blob->data[seen + (size_t)k];
            }
            seen += n > 0 ? (size_t)n : 0;
            turn(n <= 0);
        }
        CU_ASSERT_TRUE(good);
        CU_ASSERT_EQUAL(seen, BIG + 3);
        turn(2);
        CU_ASSERT_EQUAL(t.drains, 1);
        CU_ASSERT_EQUAL(car_conn_pending(t.conn), 0);
        car_blob_unref(&blob);
        tear_down();
    }
}

/* A great deal at once: nothing stays behind in libssl that no edge would report. */
static void test_much_input(void) {
    static char bytes[150000];
    set_up(TLS1_3_VERSION);
    CU_ASSERT_EQUAL(setsockopt(t.peer, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
    shake_hands();
    memset(bytes, 'i', sizeof bytes);
    for (int i = 0; i < 100 && t.input.len < sizeof bytes; i++) {
        if (i == 0) {
            CU_ASSERT_EQUAL(SSL_write(t.client, bytes, sizeof bytes), (int)sizeof bytes);
        }
        turn(1);
    }
    CU_ASSERT_EQUAL(t.input.len, sizeof bytes);
    tear_down();
}

static void test_end_is_told(void) {
    char byte;
    set_up(TLS1_3_VERSION);
    shake_hands();
    say("last");
    CU_ASSERT_EQUAL(SSL_shutdown(t.client), 0);
    turn(3);
    CU_ASSERT_EQUAL(t.input.len, 4);
    CU_ASSERT_EQUAL(t.eofs, 1);
    CU_ASSERT_EQUAL(SSL_read(t.client, &byte, 1), 0);
    CU_ASSERT_EQUAL(SSL_get_error(t.client, 0), SSL_ERROR_ZERO_RETURN);
    tear_down();
}

/* A peer that makes us answer and does not read the answers: what waits for it is bounded. */
static void test_flood_of_key_updates(void) {
    set_up(TLS1_3_VERSION);
    shake_hands();
    for (int i = 0; i < 200000 && !t.conn->finishing; i++) {
        CU_ASSERT_EQUAL(SSL_key_update(t.client, SSL_KEY_UPDATE_REQUESTED), 1);
        if (SSL_write(t.client, "x", 1) != 1) {
            break;
        }
        turn(1);
        CU_ASSERT_TRUE(car_conn_pending(t.conn) < 200000);
    }
    CU_ASSERT_TRUE(t.conn->finishing);
    tear_down();
}

static const char ALICE;
static ptrdiff_t counted; /* of Alice */

static struct car_flow *on_flow(struct car_worker *worker, const void *owner) {
    (void)owner;
    return &worker->tasks.common;
}

static void on_held(struct car_worker *worker, const void *owner, ptrdiff_t change) {
    (void)worker;
    CU_ASSERT_PTR_EQUAL(owner, &ALICE);
    counted += change;
}

static const struct car_net_owners OWNERS = {.flow = on_flow, .held = on_held};

/* Gives Alice's connection so much more than it takes, `blobs` pieces of 1,000 bytes, each full of its number. */
static void stall(unsigned blobs) {
    for (unsigned i = 0; i < blobs; i++) {
        struct car_blob *blob = car_blob_new(&ALICE, 1000);
        memset(blob->data, (char)i, 1000);
        CU_ASSERT_TRUE(car_conn_write(t.conn, blob));
        car_blob_unref(&blob);
    }
    turn(3);
    CU_ASSERT_TRUE_FATAL(t.conn->blocked);
}

/* Reads all until the end. How many bytes before the last three, which are "end". */
static size_t read_to_end(void) {
    static char got[1 << 20];
    size_t len = 0;
    int error = SSL_ERROR_NONE;
    for (int i = 0; i < 2000 && error != SSL_ERROR_ZERO_RETURN; i++) {
        int n = SSL_read(t.client, got + len, (int)(sizeof got - len));
        error = SSL_get_error(t.client, n);
        len += n > 0 ? (size_t)n : 0;
        turn(n <= 0);
        CU_ASSERT_TRUE_FATAL(n > 0 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN);
    }
    CU_ASSERT_EQUAL(error, SSL_ERROR_ZERO_RETURN);
    CU_ASSERT_TRUE_FATAL(len >= 3 && memcmp(got + len - 3, "end", 3) == 0);
    for (size_t i = 0; i < len - 3; i++) {
        CU_ASSERT_EQUAL(got[i], (char)(i / 1000));
    }
    return len - 3;
}

/* What waits in records is counted as well as what does not. Where it is thrown away, records stay whole, and what is
 * written then is read behind what had been begun. */
static void test_cut(void) {
    for (unsigned blobs = 1; blobs < 600; blobs += 37) {
        set_up(TLS1_3_VERSION);
        t.net.owners = &OWNERS;
        counted = 0;
        shake_hands();
        CU_ASSERT_EQUAL(setsockopt(t.conn->watch.fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)), 0);
        SSL_set_options(t.client, SSL_OP_IGNORE_UNEXPECTED_EOF); /* there may be no room to say it (car_tls_shut) */
        car_conn_belong(t.conn, &ALICE);
        stall(20 + blobs);
        CU_ASSERT_TRUE((size_t)counted >= car_conn_pending(t.conn));
        CU_ASSERT_EQUAL((size_t)counted, car_conn_held(t.conn));
        size_t records = car_tls_waiting(t.conn->tls);
        size_t written;
        const struct car_blob *begun = car_conn_begun(t.conn, &written);
        CU_ASSERT_PTR_NOT_NULL_FATAL(begun);
        car_conn_cut(t.conn, written ? begun->len - written : 0);
        CU_ASSERT_EQUAL(counted, 0);
        CU_ASSERT_EQUAL(car_tls_waiting(t.conn->tls), records);
        CU_ASSERT_TRUE(car_conn_write_copy(t.conn, NULL, CAR_SPAN("end")));
        car_conn_finish_soon(t.conn);
        turn(1);
        CU_ASSERT_EQUAL(read_to_end() % 1000, 0);
        tear_down();
        CU_ASSERT_EQUAL(counted, 0);
    }
}

static void test_other_than_tls(void) {
    char got[512] = "";
    set_up(TLS1_3_VERSION);
    CU_ASSERT_EQUAL(send(t.peer, "GET / HTTP/1.1\r\n", 16, 0), 16);
    turn(3);
    CU_ASSERT_TRUE(recv(t.peer, got, sizeof got - 1, 0) > 0);
    CU_ASSERT_EQUAL(strncmp(got, "HTTP/1.1 400 ", 13), 0);
    CU_ASSERT_EQUAL(t.inputs, 0);
    CU_ASSERT_EQUAL(recv(t.peer, got, sizeof got, 0), 0);
    tear_down();
}

static void test_size(void) {
    CU_ASSERT_EQUAL(sizeof(struct car_conn), 168);
}

static const struct car_test TESTS[] = {
    {"both ways", test_both_ways},
    {"what is thrown away", test_cut},
    {"byte by byte", test_byte_by_byte},
    {"pieces share a record", test_pieces_share_a_record},
    {"more than the socket takes", test_more_than_the_socket_takes},
    {"much input", test_much_input},
    {"end is told", test_end_is_told},
    {"flood of key updates", test_flood_of_key_updates},
    {"other than TLS", test_other_than_tls},
    {"size", test_size},
};

int main(void) {
    close(mkstemp(cert));
    close(mkstemp(key));
    certificate_make(cert, key, NULL);
    int code = car_suite_main("tls", TESTS, sizeof TESTS / sizeof *TESTS);
    (void)unlink(cert);
    (void)unlink(key);
    return code;
}
