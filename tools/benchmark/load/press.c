#include "press.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "options.h"

#define TENANT  "loud"
#define READERS 10
#define SMALL   4096  /* SO_RCVBUF of one that stalls */
#define SEVERAL 16    /* requests in one write, where they are small */
#define LAG_MAX 0.05  /* seconds of the rate that are made up for at once */
#define INPUT   65536 /* read at a time */

/* A batch, of some 0.9 MB: as many events as one may have, and their messages' characters. */
#define EVENTS    1000
#define EVENT_LEN 880

enum role { POSTER, READER, STALLED, GREETER };

struct caller {
    int fd;
    enum role role;
    unsigned owed; /* answers */
    size_t sent;   /* of the requests that are being written */
    bool blocked;  /* the socket takes no more of them for now */
    char tail[12]; /* the end of what was read, where a status line may begin */
    unsigned tail_len;
};

struct press {
    const struct options *options;
    int epoll;
    struct caller *callers;
    unsigned count;
    char *requests; /* what a poster writes at a time, again and again */
    size_t len;
    unsigned per_write;   /* requests in it */
    uint64_t began, next; /* requests or handshakes that were begun */
    uint64_t created, limited, unavailable, others, handshakes, closed;
    char input[INPUT];
};

static const char HANDSHAKE[] = "GET /ws?tenant=" TENANT " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static bool flag(const struct press *press, const char *what) {
    return strcmp(press->options->what, what) == 0;
}

/* One request, with that body. Returns how long it is. */
static size_t write_request(char *out, size_t room, const char *path, const char *body) {
    return (size_t)snprintf(out, room,
                            "POST %s HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: " TENANT
                            "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                            path, strlen(body), body);
}

static bool write_several(struct press *press) {
    char body[600];
    size_t room = (size_t)SEVERAL * 512;
    snprintf(body, sizeof body, "{\"message\":\"%0100u\"}", 0);
    press->requests = malloc(room);
    for (unsigned i = 0; press->requests && i < SEVERAL; i++) {
        press->len += write_request(press->requests + press->len, room - press->len, "/events", body);
    }
    press->per_write = SEVERAL;
    return press->requests != NULL;
}

static bool write_batch(struct press *press) {
    size_t room = (size_t)EVENTS * (EVENT_LEN + 16) + 3;
    char *body = malloc(room);
    press->requests = malloc(room + 512);
    if (body && press->requests) {
        size_t at = 0;
        for (unsigned i = 0; i < EVENTS; i++) {
            at += (size_t)snprintf(body + at, room - at, "%c{\"message\":\"%0*u\"}", i ? ',' : '[', EVENT_LEN, i);
        }
        snprintf(body + at, room - at, "]");
        press->len = write_request(press->requests, room + 512, "/api/v1/events/batch", body);
    }
    free(body);
    press->per_write = 1;
    return press->len > 0;
}

/* Connects and says hello, waiting for it. */
static bool call(struct press *press, struct caller *caller, enum role role) {
    *caller =
        (struct caller){.role = role, .fd = target_connect(&press->options->target, 0, role == STALLED ? SMALL : 0)};
    struct pollfd poll_fd = {.fd = caller->fd, .events = POLLOUT};
    if (caller->fd < 0 || poll(&poll_fd, 1, 10000) != 1) {
        return false;
    }
    if (role != POSTER && send(caller->fd, HANDSHAKE, sizeof HANDSHAKE - 1, MSG_NOSIGNAL) < 0) {
        return false;
    }
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = caller}};
    return role == STALLED || epoll_ctl(press->epoll, EPOLL_CTL_ADD, caller->fd, &event) == 0;
}

static void count_status(struct press *press, struct caller *caller, const char *code) {
    uint64_t *counter = memcmp(code, "201", 3) == 0   ? &press->created
                        : memcmp(code, "413", 3) == 0 ? &press->limited /* a batch larger than the limit */
                        : memcmp(code, "429", 3) == 0 ? &press->limited
                        : memcmp(code, "503", 3) == 0 ? &press->unavailable
                        : memcmp(code, "101", 3) == 0 ? &press->handshakes
                                                      : &press->others;
    ++*counter;
    caller->owed -= caller->owed > 0;
}

/* Finds status lines; no body here has such a text. */
static void look(struct press *press, struct caller *caller, const char *bytes, size_t len) {
    char text[INPUT + sizeof caller->tail];
    memcpy(text, caller->tail, caller->tail_len);
    memcpy(text + caller->tail_len, bytes, len);
    size_t whole = caller->tail_len + len;
    const char *at = text;
    const char *found;
    while ((found = memmem(at, whole - (size_t)(at - text), "HTTP/1.1 ", 9)) && (size_t)(found - text) + 12 <= whole) {
        count_status(press, caller, found + 9);
        at = found + 12;
    }
    size_t rest = whole - (size_t)(at - text);
    caller->tail_len = (unsigned)(rest < 11 ? rest : 11);
    memcpy(caller->tail, text + whole - caller->tail_len, caller->tail_len);
}

/* A greeter that has been let in goes, and comes again. */
static void again(struct press *press, struct caller *caller) {
    struct linger now = {.l_onoff = 1};
    setsockopt(caller->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(caller->fd);
    caller->fd = -1;
    (void)press;
}

static void on_input(struct press *press, struct caller *caller) {
    ssize_t n = recv(caller->fd, press->input, INPUT, 0);
    if (n > 0 && caller->role != READER) {
        look(press, caller, press->input, (size_t)n);
    }
    if (caller->role == GREETER && n != 0) {
        again(press, caller);
    } else if (n == 0 || (n < 0 && errno != EAGAIN)) {
        press->closed++;
        close(caller->fd);
        caller->fd = -1;
    }
}

static uint64_t due(const struct press *press) {
    double rate = press->options->rate;
    uint64_t all = (uint64_t)(clock_to_seconds(clock_now() - press->began) * rate);
    return all > press->next ? all - press->next : 0;
}

/* Whether it is time for another write: by the rate, or, of batches, as soon as the last one was answered. */
static bool is_due(const struct press *press, const struct caller *caller) {
    return flag(press, "batches") ? caller->owed == 0 : caller->owed <= SEVERAL && due(press) >= SEVERAL;
}

/* Has the socket tell when it takes more, or no longer. */
static void watch_room(const struct press *press, struct caller *caller, bool blocked) {
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data = {.ptr = caller}};
    if (caller->blocked != blocked && epoll_ctl(press->epoll, EPOLL_CTL_MOD, caller->fd, &event) == 0) {
        caller->blocked = blocked;
    }
}

/* Sends what is due, where an answer is not owed for too many. */
static void post(struct press *press, struct caller *caller) {
    ssize_t n = send(caller->fd, press->requests + caller->sent, press->len - caller->sent, MSG_NOSIGNAL);
    if (n > 0) {
        caller->sent += (size_t)n;
    }
    if (caller->sent == press->len) {
        caller->sent = 0;
        caller->owed += press->per_write;
        press->next += press->per_write;
    }
    watch_room(press, caller, caller->sent > 0);
}

static void act(struct press *press) {
    uint64_t left = due(press);
    uint64_t most = (uint64_t)(press->options->rate * LAG_MAX) + SEVERAL;
    if (left > most) { /* what cannot be kept up with is let go of */
        press->next += left - most;
    }
    for (unsigned i = 0; i < press->count; i++) {
        struct caller *caller = &press->callers[i];
        if (caller->role == POSTER && caller->fd >= 0 && is_due(press, caller)) {
            post(press, caller);
        } else if (caller->role == GREETER && caller->fd < 0 && due(press) > 0) {
            press->next++;
            (void)call(press, caller, GREETER);
        }
    }
}

static bool wanted(void) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, 0) == 0;
}

static void run(struct press *press) {
    uint64_t end = clock_now() + clock_from_seconds(press->options->timeout);
    press->began = clock_now();
    while (wanted() && clock_now() < end) {
        struct epoll_event events[256];
        int n = epoll_wait(press->epoll, events, 256, 1);
        for (int i = 0; i < n; i++) {
            on_input(press, events[i].data.ptr);
        }
        act(press);
    }
}

static bool open_all(struct press *press) {
    unsigned posters = flag(press, "handshakes") ? 0 : press->options->publishers;
    unsigned stalled = flag(press, "stalled") ? press->options->sockets : 0;
    unsigned greeters = flag(press, "handshakes") ? press->options->publishers : 0;
    unsigned readers = flag(press, "batches") ? 0 : READERS; /* none could follow */
    bool good = true;
    press->epoll = epoll_create1(EPOLL_CLOEXEC);
    press->callers = calloc(READERS + posters + stalled + greeters, sizeof *press->callers);
    for (unsigned i = 0; good && i < readers; i++) {
        good = call(press, &press->callers[press->count++], READER);
    }
    for (unsigned i = 0; good && i < stalled; i++) {
        good = call(press, &press->callers[press->count++], STALLED);
    }
    for (unsigned i = 0; good && i < posters + greeters; i++) {
        good = call(press, &press->callers[press->count++], greeters ? GREETER : POSTER);
    }
    return good;
}

static int report(const struct press *press, bool good) {
    struct json json = {0};
    good = good && press->closed == 0 && press->others == 0;
    json_open(&json, NULL, '{');
    json_bool(&json, "ok", good);
    json_open(&json, "faults", '[');
    if (!good) {
        json_text(&json, NULL, "a connection was closed, could not be made, or got what it had not asked for");
    }
    json_close(&json, ']');
    json_count(&json, "created", press->created);
    json_count(&json, "limited", press->limited);
    json_count(&json, "unavailable", press->unavailable);
    json_count(&json, "handshakes", press->handshakes);
    json_count(&json, "closed", press->closed);
    json_number(&json, "per_second", (double)press->next / clock_to_seconds(clock_now() - press->began));
    json_close(&json, '}');
    putchar('\n');
    return good ? 0 : 1;
}

int press_main(const struct options *options) {
    struct press *press = calloc(1, sizeof *press);
    if (!press) {
        return 2;
    }
    press->options = options;
    bool good = (flag(press, "batches") ? write_batch(press) : write_several(press)) && open_all(press);
    puts("{\"ready\":true}");
    fflush(stdout);
    if (good) {
        run(press);
    }
    int code = report(press, good);
    for (unsigned i = 0; i < press->count; i++) {
        close(press->callers[i].fd);
    }
    close(press->epoll);
    free(press->callers);
    free(press->requests);
    free(press);
    return code;
}
