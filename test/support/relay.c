#include "relay.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS_MAX = 32, LOOK_MS = 20 };

/* Two connections, each other's end. */
struct pair {
    int client, server; /* -1: none */
};

static pthread_t thread;
static int listener = -1;
static struct sockaddr_in target;
static struct pair pairs[PAIRS_MAX];
static atomic_bool losing, over;
static atomic_uint lost;

static void must(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "relay: %s\n", what);
        abort();
    }
}

static struct sockaddr_in loopback(unsigned port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((in_port_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void end(struct pair *pair) {
    close(pair->client);
    close(pair->server);
    pair->client = pair->server = -1;
}

static void take_in(void) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(server, (struct sockaddr *)&target, sizeof target) != 0) {
        close(client);
        close(server);
        return;
    }
    for (unsigned i = 0; i < PAIRS_MAX; i++) {
        if (pairs[i].client < 0) {
            pairs[i] = (struct pair){client, server};
            return;
        }
    }
    must(false, "too many connections");
}

/* Hands on what one side says. false where that is over. */
static bool hand_on(int from, int to) {
    char bytes[16384];
    ssize_t n = recv(from, bytes, sizeof bytes, 0);
    for (ssize_t at = 0, sent; at < n; at += sent) {
        sent = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
    }
    return n > 0;
}

static void serve(struct pair *pair, bool client_says, bool server_says) {
    if (server_says && atomic_load(&losing)) {
        atomic_fetch_add(&lost, 1);
        end(pair);
    } else if ((server_says && !hand_on(pair->server, pair->client)) ||
               (client_says && !hand_on(pair->client, pair->server))) {
        end(pair);
    }
}

static void *run(void *arg) {
    (void)arg;
    while (!atomic_load(&over)) {
        struct pollfd fds[1 + 2 * PAIRS_MAX] = {{.fd = listener, .events = POLLIN}};
        for (unsigned i = 0; i < PAIRS_MAX; i++) {
            fds[1 + 2 * i] = (struct pollfd){.fd = pairs[i].client, .events = POLLIN};
            fds[2 + 2 * i] = (struct pollfd){.fd = pairs[i].server, .events = POLLIN};
        }
        (void)poll(fds, sizeof fds / sizeof *fds, LOOK_MS);
        for (unsigned i = 0; i < PAIRS_MAX; i++) {
            if (pairs[i].client >= 0 && (fds[1 + 2 * i].revents || fds[2 + 2 * i].revents)) {
                serve(&pairs[i], fds[1 + 2 * i].revents, fds[2 + 2 * i].revents);
            }
        }
        if (fds[0].revents) {
            take_in();
        }
    }
    return NULL;
}

void relay_open(const char *uri, char *through, size_t size) {
    struct sockaddr_in own = loopback(0);
    socklen_t len = sizeof own;
    const char *host = strstr(uri, "@127.0.0.1:");
    must(host != NULL, "no port");
    const char *port = host + strlen("@127.0.0.1:");
    target = loopback((unsigned)strtoul(port, NULL, 10));
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(listener, (struct sockaddr *)&own, sizeof own) == 0 && listen(listener, 32) == 0 &&
             getsockname(listener, (struct sockaddr *)&own, &len) == 0,
         "no port to listen on");
    snprintf(through, size, "%.*s%u%s", (int)(port - uri), uri, (unsigned)ntohs(own.sin_port), strchr(port, '/'));
    for (unsigned i = 0; i < PAIRS_MAX; i++) {
        pairs[i] = (struct pair){-1, -1};
    }
    atomic_store(&losing, false);
    atomic_store(&over, false);
    atomic_store(&lost, 0);
    must(pthread_create(&thread, NULL, run, NULL) == 0, "no thread");
}

void relay_lose(bool lose) {
    atomic_store(&losing, lose);
}

unsigned relay_lost(void) {
    return atomic_load(&lost);
}

void relay_close(void) {
    atomic_store(&over, true);
    must(pthread_join(thread, NULL) == 0, "no end");
    for (unsigned i = 0; i < PAIRS_MAX; i++) {
        if (pairs[i].client >= 0) {
            end(&pairs[i]);
        }
    }
    close(listener);
}
