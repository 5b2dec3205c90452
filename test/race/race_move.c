#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "carillon/base/buf.h"
#include "carillon/net/exchange.h"
#include "carillon/net/http_conn.h"
#include "carillon/net/net.h"
#include "carillon/net/response.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "race.h"
#include "support/suite.h"

/*
 * Connections that move between workers: each request is answered by the worker that its path names, wherever it
 * arrived. Requests are pipelined, with bodies whole and in chunks, and written in pieces of any size; every client
 * gets exactly its own answers, in order, also where it has closed its side by then; and nothing is left behind.
 */

enum { WORKERS = 3, CLIENTS = 24, REQUESTS = 40 };

static struct car_worker *workers[WORKERS];
static atomic_uint wrong;
static atomic_uint answered;

/* Workers. */

static unsigned wanted_by(const struct car_http_request *req) {
    return (unsigned)(req->path.ptr[1] - '0');
}

static int on_begin(void *app, struct car_exchange *exchange, const struct car_http_request *req, const char **why) {
    (void)app;
    (void)why;
    if (wanted_by(req) != exchange->worker->id) {
        atomic_fetch_add(&wrong, !car_exchange_move(exchange, req, workers[wanted_by(req)]));
    }
    return 0;
}

/* The body of the answer: who answers, and what was asked. */
static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    struct car_buf body = CAR_BUF_INIT;
    atomic_fetch_add(&wrong, wanted_by(req) != exchange->worker->id);
    car_buf_u64(&body, exchange->worker->id);
    car_buf_char(&body, ' ');
    car_buf_span(&body, req->body);
    car_respond(exchange, &(struct car_response){.status = 200, .type = "text/plain", .body = car_buf_view(&body)});
    car_buf_free(&body);
}

static void on_refuse(void *app, struct car_exchange *exchange, int status, const char *why) {
    (void)app;
    (void)why;
    atomic_fetch_add(&wrong, 1);
    car_respond(exchange, &(struct car_response){.status = status});
}

static const struct car_http_app APP = {.begin = on_begin, .request = on_request, .refuse = on_refuse};

/* A socket for a worker. */
struct arrival {
    struct car_note note;
    int fd;
};

static void on_arrival(struct car_note *note, void *owner) {
    struct arrival *arrival = (struct arrival *)note;
    car_http_conn_open(owner, arrival->fd, false);
}

static void on_stop(struct car_note *note, void *owner) {
    (void)note;
    car_worker_stop(owner);
}

/* Clients. */

struct client {
    pthread_t thread;
    struct arrival arrival;
    int fd;
    unsigned id;
    uint64_t seed;
};

static void write_request(struct car_buf *out, struct client *client, unsigned n, char expected[64]) {
    unsigned to = race_random(&client->seed) % WORKERS;
    char body[40];
    int len = snprintf(body, sizeof body, "client %u request %u", client->id, n);
    snprintf(expected, 64, "%u %s", to, body);
    if (race_random(&client->seed) % 2) {
        car_buf_printf(out, "POST /%u HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", to, len, body);
    } else {
        car_buf_printf(
            out, "POST /%u HTTP/1.1\r\nHost:x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%.3s\r\n%x\r\n%s\r\n0\r\n\r\n",
            to, body, (unsigned)len - 3, body + 3);
    }
}

static void send_in_pieces(struct client *client, const struct car_buf *text) {
    size_t at = 0;
    while (at < text->len) {
        size_t piece = 1 + race_random(&client->seed) % (race_random(&client->seed) % 4 ? 40 : 400);
        piece = piece < text->len - at ? piece : text->len - at;
        ssize_t n = send(client->fd, text->data + at, piece, MSG_NOSIGNAL);
        if (n <= 0) {
            atomic_fetch_add(&wrong, 1);
            return;
        }
        at += (size_t)n;
    }
}

/* Reads one answer; whether its body is the expected one. */
static bool read_answer(int fd, const char *expected) {
    char text[4096];
    size_t len = 0;
    size_t body_at = 0;
    size_t wanted = sizeof text;
    while (len < wanted && len < sizeof text - 1) {
        ssize_t n = recv(fd, text + len, 1, 0);
        if (n <= 0) {
            return false;
        }
        len++;
        text[len] = '\0';
        if (!body_at && len >= 4 && memcmp(text + len - 4, "\r\n\r\n", 4) == 0) {
            const char *length = strstr(text, "Content-Length: ");
            body_at = len;
            wanted = length ? len + strtoul(length + 16, NULL, 10) : 0;
        }
    }
    return body_at && strncmp(text, "HTTP/1.1 200", 12) == 0 && strcmp(text + body_at, expected) == 0;
}

static void *client_main(void *arg) {
    struct client *client = arg;
    static _Thread_local char expected[8][64];
    for (unsigned n = 0; n < REQUESTS;) {
        struct car_buf text = CAR_BUF_INIT;
        unsigned batch = 1 + race_random(&client->seed) % 8;
        batch = batch < REQUESTS - n ? batch : REQUESTS - n;
        for (unsigned i = 0; i < batch; i++) {
            write_request(&text, client, n + i, expected[i]);
        }
        send_in_pieces(client, &text);
        car_buf_free(&text);
        n += batch;
        if (n == REQUESTS && client->id % 2) {
            shutdown(client->fd, SHUT_WR);
        }
        for (unsigned i = 0; i < batch; i++) {
            bool good = read_answer(client->fd, expected[i]);
            atomic_fetch_add(good ? &answered : &wrong, 1);
            if (!good) {
                close(client->fd);
                return NULL;
            }
        }
    }
    char end;
    shutdown(client->fd, SHUT_WR);
    atomic_fetch_add(&wrong, recv(client->fd, &end, 1, 0) != 0);
    close(client->fd);
    return NULL;
}

static void run_clients(unsigned round) {
    static struct client clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &clients[i];
        int pair[2];
        CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
        *client = (struct client){.fd = pair[0], .id = i, .seed = round * 1000003u + i + 1};
        client->arrival = (struct arrival){.note.run = on_arrival, .fd = pair[1]};
        atomic_fetch_add(&workers[i % WORKERS]->connections, 1);
        car_mailbox_post(&workers[i % WORKERS]->mailbox, &client->arrival.note);
        CU_ASSERT_FATAL(pthread_create(&client->thread, NULL, client_main, client) == 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
    }
}

static unsigned open_files(void) {
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) {
        n++;
    }
    if (folder) {
        closedir(folder);
    }
    return n;
}

static struct car_reclaim *reclaim;

static void start_workers(struct car_net *net) {
    reclaim = car_reclaim_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(reclaim);
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&workers[i], i, reclaim), 0);
        CU_ASSERT_EQUAL_FATAL(car_net_attach(net, workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_start(workers[i]), 0);
    }
}

static void wait_until_all_have_gone(const struct car_net *net) {
    while (car_net_left(net) > 0) {
        usleep(1000); /* the watchdog ends it */
    }
}

static void stop_workers(void) {
    static struct car_note notes[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        notes[i].run = on_stop;
        car_mailbox_post(&workers[i]->mailbox, &notes[i]);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        car_worker_join(workers[i]);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        car_net_detach(workers[i]);
        car_worker_close(&workers[i]);
    }
    car_reclaim_free(&reclaim);
}

static void test_back_and_forth(void) {
    static struct car_net net = {.app = &APP,
                                 .max_body = 1 << 16,
                                 .request_timeout_ms = 60000,
                                 .idle_timeout_ms = 60000,
                                 .workers = workers,
                                 .worker_count = WORKERS};
    unsigned rounds = race_rounds(60);
    unsigned done = 0;
    uint64_t started = race_now_ms();
    start_workers(&net);
    unsigned before = open_files();
    for (; done < rounds && race_now_ms() - started < 20000; done++) {
        run_clients(done);
    }
    wait_until_all_have_gone(&net);
    CU_ASSERT_EQUAL(open_files(), before);
    stop_workers();
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    CU_ASSERT_EQUAL(atomic_load(&answered), done * CLIENTS * REQUESTS);
}

/* One connection that always moves, and whoever counts: it is somewhere. */

struct mover {
    pthread_t thread;
    int fd;
    unsigned rounds;
    unsigned answers;
    atomic_bool done;
};

/* Asks the first and the last worker in turn, for about as long as `rounds` asks for. The connection stays open. */
static void *mover_main(void *arg) {
    struct mover *mover = arg;
    uint64_t started = race_now_ms();
    race_pin(0);
    for (unsigned n = 0; n < mover->rounds && !race_time_up(started, 10000, n); n++) {
        unsigned to = n % 2 ? 0 : WORKERS - 1;
        char text[64];
        char expected[16];
        int len = snprintf(text, sizeof text, "GET /%u HTTP/1.1\r\nHost: x\r\n\r\n", to);
        snprintf(expected, sizeof expected, "%u ", to);
        if (send(mover->fd, text, (size_t)len, MSG_NOSIGNAL) != len || !read_answer(mover->fd, expected)) {
            atomic_fetch_add(&wrong, 1);
            break;
        }
        mover->answers++;
    }
    atomic_store(&mover->done, true);
    return NULL;
}

static void test_never_overlooked(void) {
    /* Counting takes long between the first worker and the last, so that a connection moves meanwhile. */
    enum { SEATS = 16384 };
    static struct car_worker *seats[SEATS];
    static struct car_net net = {.app = &APP,
                                 .max_body = 1 << 16,
                                 .request_timeout_ms = 60000,
                                 .idle_timeout_ms = 60000,
                                 .workers = seats,
                                 .worker_count = SEATS};
    static struct mover mover;
    static struct arrival arrival = {.note.run = on_arrival};
    int pair[2];
    unsigned counts = 0;
    unsigned overlooked = 0;
    atomic_store(&wrong, 0);
    start_workers(&net);
    for (unsigned i = 0; i < SEATS; i++) {
        seats[i] = workers[i == 0 ? 0 : i == SEATS - 1 ? WORKERS - 1 : 1];
    }
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    mover.fd = pair[0];
    mover.rounds = race_rounds(200000);
    arrival.fd = pair[1];
    atomic_fetch_add(&workers[0]->connections, 1);
    car_mailbox_post(&workers[0]->mailbox, &arrival.note);
    CU_ASSERT_FATAL(pthread_create(&mover.thread, NULL, mover_main, &mover) == 0);
    while (!atomic_load(&mover.done)) {
        counts++;
        overlooked += car_net_left(&net) == 0;
    }
    pthread_join(mover.thread, NULL);
    close(mover.fd);
    wait_until_all_have_gone(&net);
    stop_workers();
    printf("(%u moves, %u counts, %u overlooked) ", mover.answers, counts, overlooked);
    CU_ASSERT_TRUE(counts > 0);
    CU_ASSERT_TRUE(mover.answers > 0);
    CU_ASSERT_EQUAL(overlooked, 0);
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
}

static const struct car_test TESTS[] = {
    {"back and forth", test_back_and_forth},
    {"never overlooked", test_never_overlooked},
};

int main(void) {
    race_watch();
    return car_suite_main("move", TESTS, sizeof TESTS / sizeof *TESTS);
}
