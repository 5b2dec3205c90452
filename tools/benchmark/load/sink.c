#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "conn.h"
#include "loop.h"
#include "target.h"

#define BACKLOG 4096

static size_t sink_input(struct conn *conn, char *data, size_t *len) {
    uint64_t *total = conn->loop->user;
    (void)data;
    *total += *len;
    return *len;
}

/* The sink's process: it ends by the signal that sink_stop sends, or with its parent. */
__attribute__((noreturn)) static void sink_main(pid_t parent, int listener, uint32_t count, int told) {
    static atomic_uint phase;
    uint64_t total = 0;
    /* Who dies before this is asked for sends no signal. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(1);
    }
    struct loop *loop = memory_zeroed(1, sizeof *loop);
    struct conn *conns = memory_zeroed(count, sizeof *conns);
    if (!loop_open(loop, &phase)) {
        _exit(1);
    }
    loop->user = &total;
    for (uint32_t i = 0; i < count; i++) {
        conns[i] = (struct conn){.role = ROLE_SINK, .number = i, .input = sink_input, .delivers = true};
        conns[i].fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conns[i].fd < 0 || !loop_watch(loop, &conns[i])) {
            _exit(1);
        }
    }
    for (;;) {
        loop_turn(loop, clock_now() + CLOCK_NS_PER_S);
        if (total > 0) {
            eventfd_write(told, total);
            total = 0;
        }
    }
}

static int listen_anywhere(struct target *target) {
    memset(target, 0, sizeof *target);
    target->address.v4.sin_family = AF_INET;
    target->address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target->len = sizeof target->address.v4;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0 && bind(listener, &target->address.any, target->len) == 0 && listen(listener, BACKLOG) == 0 &&
        getsockname(listener, &target->address.any, &target->len) == 0) {
        return listener;
    }
    return -1;
}

static int connect_blocking(const struct target *target) {
    int fd = target_connect(target, 0, 0);
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    if (fd < 0 || poll(&poller, 1, 10000) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 ||
        error != 0 || fcntl(fd, F_SETFL, 0) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int sink_start(struct sink *sink, uint32_t count) {
    struct target target;
    *sink = (struct sink){.pid = -1, .told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    sink->fds = memory_zeroed(count, sizeof *sink->fds);
    int listener = listen_anywhere(&target);
    if (sink->told < 0 || listener < 0) {
        return -1;
    }
    pid_t parent = getpid();
    sink->pid = fork();
    if (sink->pid == 0) {
        sink_main(parent, listener, count, sink->told);
    }
    close(listener);
    for (; sink->count < count; sink->count++) {
        sink->fds[sink->count] = sink->pid < 0 ? -1 : connect_blocking(&target);
        if (sink->fds[sink->count] < 0) {
            return -1;
        }
    }
    return 0;
}

bool sink_wait(const struct sink *sink, uint64_t bytes, uint64_t deadline) {
    uint64_t total = 0;
    while (total < bytes) {
        struct pollfd poller = {.fd = sink->told, .events = POLLIN};
        uint64_t now = clock_now();
        uint64_t wait = deadline > now ? deadline - now : 0;
        uint64_t part = 0;
        if (poll(&poller, 1, (int)(wait / 1000000)) == 1 && eventfd_read(sink->told, &part) == 0) {
            total += part;
        } else if (wait == 0) {
            return false;
        }
    }
    return total == bytes;
}

void sink_stop(struct sink *sink) {
    for (uint32_t i = 0; i < sink->count; i++) {
        close(sink->fds[i]);
    }
    if (sink->pid > 0) {
        kill(sink->pid, SIGKILL);
        waitpid(sink->pid, NULL, 0);
    }
    close(sink->told);
    free(sink->fds);
}
