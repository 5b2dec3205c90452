#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "conn.h"
#include "secure.h"

#define BATCH 512

bool loop_open(struct loop *loop, atomic_uint *phase) {
    loop->phase = phase;
    loop->tally = &loop->tallies[atomic_load(phase)];
    loop->due = UINT64_MAX;
    loop->buffer = memory_zeroed(1, LOOP_REST + LOOP_READ);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int timer = stall_open(&loop->stall);
    /* Neither is ever read: each ring is an edge, and so is each time that the timer goes off. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    return loop->epoll >= 0 && loop->bell >= 0 && timer >= 0 &&
           epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->bell, &event) == 0 &&
           epoll_ctl(loop->epoll, EPOLL_CTL_ADD, timer, &event) == 0;
}

void loop_close(struct loop *loop) {
    close(loop->epoll);
    close(loop->bell);
    stall_close(&loop->stall);
    free(loop->buffer);
}

bool loop_watch(struct loop *loop, struct conn *conn) {
    /* Edges: a socket that was read until it gave less than it was asked for costs no second look. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    conn->loop = loop;
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, conn->fd, &event) == 0;
}

void loop_forget(struct loop *loop, struct conn *conn) {
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
}

void loop_ring(struct loop *loop) {
    eventfd_write(loop->bell, 1);
}

/* Puts the bytes that were no whole unit before those that come now. Returns how many they are. */
static size_t rest_restore(const struct conn *conn, char *buffer) {
    if (conn->rest.len > 0) {
        memcpy(buffer, conn->rest.data, conn->rest.len);
    }
    return conn->rest.len;
}

/* Hands what came to the socket's protocol. */
static void digest(struct loop *loop, struct conn *conn, size_t len) {
    size_t used = conn->input(conn, loop->buffer, &len);
    if (conn->fd < 0) {
        return;
    }
    conn->rest.len = 0;
    if (len - used > LOOP_REST) {
        conn_break(conn, "sent something longer than %d bytes", LOOP_REST);
    } else {
        bytes_put(&conn->rest, loop->buffer + used, len - used);
    }
}

/* Reads until there is less than was asked for, or to the end where the peer has said that it is near. */
static void read_socket(struct loop *loop, struct conn *conn, bool ends) {
    while (conn->fd >= 0 && conn->input) {
        size_t rest = rest_restore(conn, loop->buffer);
        ssize_t len = conn->tls ? secure_recv(conn, loop->buffer + rest, LOOP_READ)
                                : recv(conn->fd, loop->buffer + rest, LOOP_READ, 0);
        if (len < 0 && errno == EAGAIN) {
            if (conn->tls) {
                conn_flush(conn); /* it may have waited for the handshake */
            }
            return;
        }
        if (len <= 0) {
            conn_break(conn, "connection lost (%s)", len == 0 ? "end of stream" : strerror(errno));
            return;
        }
        loop->now = clock_now();
        /* After recv(): what belongs to a phase was sent after that phase began. */
        loop->tally = &loop->tallies[atomic_load_explicit(loop->phase, memory_order_acquire)];
        loop->tally->recvs += conn->delivers;
        digest(loop, conn, rest + (size_t)len);
        if (len < LOOP_READ && !ends && !conn->tls) {
            return;
        }
    }
}

static void serve(struct loop *loop, struct conn *conn, uint32_t events) {
    if ((events & (EPOLLOUT | EPOLLERR)) == EPOLLOUT) {
        conn_writable(conn);
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        read_socket(loop, conn, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
}

void loop_turn(struct loop *loop, uint64_t until) {
    struct epoll_event events[BATCH];
    uint64_t now = clock_now();
    uint64_t wait = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / CLOCK_NS_PER_S), .tv_nsec = (long)(wait % CLOCK_NS_PER_S)};
    stall_before_wait(&loop->stall, now);
    int count = epoll_pwait2(loop->epoll, events, BATCH, &timeout, NULL);
    stall_after_wait(&loop->stall, clock_now());
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) {
            serve(loop, events[i].data.ptr, events[i].events);
            if (loop->now >= loop->due) {
                loop->on_due(loop->user);
            }
        }
    }
}
