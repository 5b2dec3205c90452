#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "carillon/base/buf.h"
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

/* The body of the answer: who answers, and what was asked. */
static void on_request(void *app, struct car_exchange *exchange, const struct car_http_request *req) {
    (void)app;
    unsigned wanted = (unsigned)(req->path.ptr[1] - '0');
    if (wanted != exchange->worker->id) {
        if (!car_exchange_move(exchange, req, workers[wanted])) {
            atomic_fetch_add(&wrong, 1);
            car_exchange_abort(exchange);
        }
        return;
    }
    struct car_buf body = CAR_BUF_INIT;
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

static const struct car_http_app APP = {.request = on_request, .refuse = on_refuse};

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

static bool all_gone(void) {
    unsigned left = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        left += atomic_load(&workers[i]->connections);
    }
    return left == 0;
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

static void test_back_and_forth(void) {
    static struct car_net net = {.app = &APP,
                                 .max_body = 1 << 16,
                                 .request_timeout_ms = 60000,
                                 .idle_timeout_ms = 60000,
                                 .workers = workers,
                                 .worker_count = WORKERS};
    static struct car_note notes[WORKERS];
    unsigned rounds = race_rounds(60);
    unsigned done = 0;
    uint64_t started = race_now_ms();
    struct car_reclaim *reclaim = car_reclaim_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(reclaim);
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_open(&workers[i], i, reclaim), 0);
        CU_ASSERT_EQUAL_FATAL(car_net_attach(&net, workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL_FATAL(car_worker_start(workers[i]), 0);
    }
    unsigned before = open_files();
    for (; done < rounds && race_now_ms() - started < 20000; done++) {
        run_clients(done);
    }
    while (!all_gone()) {
        usleep(1000); /* the watchdog ends it */
    }
    CU_ASSERT_EQUAL(open_files(), before);
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
    CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
    CU_ASSERT_EQUAL(atomic_load(&answered), done * CLIENTS * REQUESTS);
}

static const struct car_test TESTS[] = {{"back and forth", test_back_and_forth}};

int main(void) {
    race_watch();
    return car_suite_main("move", TESTS, sizeof TESTS / sizeof *TESTS);
}
