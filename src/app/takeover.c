#include "takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* They are ours alone from here on. */
static bool own(int fd) {
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == 0;
}

static bool is_listening(int fd) {
    int on = 0;
    int kind = 0;
    socklen_t len = sizeof on;
    bool listens = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
    len = sizeof kind;
    return listens && getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &len) == 0 && kind == SOCK_STREAM;
}

static bool read_handover(struct car_takeover *takeover, const char *text, const char **why) {
    bool locks = strcmp(text, "lock") == 0;
    takeover->listening = CAR_TAKEOVER_LISTEN;
    takeover->line = CAR_TAKEOVER_LINE;
    takeover->lock = locks ? CAR_TAKEOVER_LOCK : 0;
    if (!is_listening(takeover->listening) || !own(takeover->listening) || !own(takeover->line) ||
        (locks && !own(takeover->lock))) {
        *why = CAR_TAKEOVER_ENV ": nothing was handed over";
        return false;
    }
    return true;
}

/* sd_listen_fds(3). What is meant for another process is none of ours. */
static bool read_activation(struct car_takeover *takeover, const char **why) {
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    if (!pid || !count || strtol(pid, NULL, 10) != getpid() || strtol(count, NULL, 10) < 1) {
        return true;
    }
    if (strtol(count, NULL, 10) > 1) {
        *why = "LISTEN_FDS: one socket is served, not several";
        return false;
    }
    takeover->listening = CAR_TAKEOVER_LISTEN;
    if (!is_listening(takeover->listening) || !own(takeover->listening)) {
        *why = "LISTEN_FDS: descriptor 3 is no stream socket that listens";
        return false;
    }
    return true;
}

/* Out of what /proc shows as this process's environment, too. */
static void forget_handover(char *text) {
    if (text) {
        memset(text - sizeof CAR_TAKEOVER_ENV, 0, sizeof CAR_TAKEOVER_ENV + strlen(text));
    }
}

bool car_takeover_read(struct car_takeover *takeover, const char **why) {
    char *text = getenv(CAR_TAKEOVER_ENV);
    *takeover = (struct car_takeover){0};
    bool good = text ? read_handover(takeover, text, why) : read_activation(takeover, why);
    if (text) {
        (void)unsetenv("WATCHDOG_PID"); /* the former one's: now it is for this one to give signs of life */
    }
    (void)unsetenv(CAR_TAKEOVER_ENV); /* for who is started from here, it would be a lie */
    forget_handover(text);
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return good;
}

static bool say(const struct car_takeover *takeover, char what) {
    return send(takeover->line, &what, 1, MSG_NOSIGNAL) == 1;
}

/* The next that is said, whenever that is; 0 where there is nobody any more to say it. */
static char hear(const struct car_takeover *takeover) {
    char what = 0;
    ssize_t n;
    do {
        n = recv(takeover->line, &what, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n == 1 ? what : 0;
}

bool car_takeover_wait(const struct car_takeover *takeover) {
    return takeover->line == 0 || (say(takeover, CAR_TAKEOVER_PREPARED) && hear(takeover) == CAR_TAKEOVER_GO);
}

void car_takeover_ready(struct car_takeover *takeover) {
    if (takeover->line) {
        (void)say(takeover, CAR_TAKEOVER_READY);
        (void)hear(takeover); /* CAR_TAKEOVER_SERVE, or the end */
        close(takeover->line);
        takeover->line = 0;
    }
}
