#include "http_ask.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/address.h"
#include "carillon/base/clock.h"

/* PROXY protocol, version 2, section 2.2: a connection of the proxy's own, such as a health check. */
static const char LOCAL[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";

static int fail(char *why, size_t size, const char *what) {
    snprintf(why, size, "%s", what);
    return -1;
}

/* 0 when the descriptor is ready, or an errno; never later than the deadline. */
static int await(int fd, short events, uint64_t deadline_us) {
    for (;;) {
        struct pollfd one = {.fd = fd, .events = events};
        uint64_t now = car_clock_mono_us();
        if (now >= deadline_us) {
            return ETIMEDOUT;
        }
        int n = poll(&one, 1, (int)((deadline_us - now) / 1000) + 1);
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
    }
}

/* A connected socket, or -1 and errno. */
static int dial(const struct addrinfo *to, uint64_t deadline_us) {
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int err = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (err == EINPROGRESS) {
        socklen_t len = sizeof err;
        int late = await(fd, POLLOUT, deadline_us);
        if (late || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0) {
            err = late ? late : errno;
        }
    }
    if (err) {
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

/* The first of the host's addresses that takes a connection; -1 and `why` where none does. */
static int reach(const struct car_http_question *question, char *why, size_t size) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", question->port);
    int err = getaddrinfo(question->host, port, &hints, &found);
    if (err) {
        return fail(why, size, gai_strerror(err));
    }
    int fd = -1;
    for (const struct addrinfo *one = found; one && fd < 0; one = one->ai_next) {
        fd = dial(one, question->deadline_us);
    }
    err = errno;
    freeaddrinfo(found);
    return fd >= 0 ? fd : fail(why, size, err == ETIMEDOUT ? "no connection in time" : strerror(err));
}

static bool is_a_proxy(const struct car_http_question *question, int fd) {
    struct sockaddr_storage from;
    struct car_address address;
    socklen_t len = sizeof from;
    return question->proxy_count && getsockname(fd, (struct sockaddr *)&from, &len) == 0 &&
           car_address_of_sockaddr((const struct sockaddr *)&from, len, &address) == 0 &&
           car_cidr_any_has(question->proxies, question->proxy_count, &address);
}

/* A connection to the server. */
struct line {
    int fd;
    SSL_CTX *context;
    SSL *tls; /* NULL: in the clear */
    uint64_t deadline_us;
};

/* What libssl waits for after a call that has come to nothing. 0 when it has come, or an errno. */
static int await_tls(const struct line *line, int result) {
    switch (SSL_get_error(line->tls, result)) {
    case SSL_ERROR_WANT_READ:
        return await(line->fd, POLLIN, line->deadline_us);
    case SSL_ERROR_WANT_WRITE:
        return await(line->fd, POLLOUT, line->deadline_us);
    default:
        return EPROTO;
    }
}

/* The handshake. 0 or an errno. */
static int speak_tls(struct line *line) {
    line->context = SSL_CTX_new(TLS_client_method());
    line->tls = line->context ? SSL_new(line->context) : NULL;
    if (!line->tls || SSL_set_fd(line->tls, line->fd) != 1) {
        return ENOMEM;
    }
    int err = 0;
    for (int n = SSL_connect(line->tls); n != 1 && !err; n = err ? n : SSL_connect(line->tls)) {
        err = await_tls(line, n);
    }
    return err;
}

static void hang_up(struct line *line) {
    SSL_free(line->tls);
    SSL_CTX_free(line->context);
    close(line->fd);
}

/* 0 or an errno. */
static int put(struct line *line, const char *bytes, size_t len) {
    int err = 0;
    while (len && !err) {
        size_t n = 0;
        if (line->tls) {
            int result = SSL_write_ex(line->tls, bytes, len, &n);
            err = result == 1 ? 0 : await_tls(line, result);
        } else {
            ssize_t sent = send(line->fd, bytes, len, MSG_NOSIGNAL);
            n = sent > 0 ? (size_t)sent : 0;
            err = sent >= 0 || errno == EINTR ? 0
                  : errno == EAGAIN           ? await(line->fd, POLLOUT, line->deadline_us)
                                              : errno;
        }
        bytes += n;
        len -= n;
    }
    return err;
}

/* Reads until the end, or until the buffer is full. 0 or an errno. */
static int take(struct line *line, char *bytes, size_t size, size_t *len) {
    int err = 0;
    bool open = true;
    *len = 0;
    while (*len < size && open && !err) {
        size_t n = 0;
        if (line->tls) {
            int result = SSL_read_ex(line->tls, bytes + *len, size - *len, &n);
            open = result == 1 || SSL_get_error(line->tls, result) != SSL_ERROR_ZERO_RETURN;
            err = result == 1 || !open ? 0 : await_tls(line, result);
        } else {
            ssize_t got = recv(line->fd, bytes + *len, size - *len, 0);
            open = got != 0;
            n = got > 0 ? (size_t)got : 0;
            err = got >= 0 || errno == EINTR ? 0 : errno == EAGAIN ? await(line->fd, POLLIN, line->deadline_us) : errno;
        }
        *len += n;
    }
    return err;
}

/* The status line (RFC 9112, section 4), and where the body begins. false where this is no HTTP/1 answer. */
static bool read_answer(struct car_http_answer *answer, size_t len) {
    static const char BEGIN[] = "HTTP/1.";
    const char *at = answer->bytes;
    if (len < sizeof "HTTP/1.1 200" - 1 || memcmp(at, BEGIN, sizeof BEGIN - 1) != 0 || at[8] != ' ') {
        return false;
    }
    uint64_t status = 0;
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (!end || car_span_u64(car_span_of(at + 9, 3), 599, &status) != 0 || status < 100) {
        return false;
    }
    answer->status = (unsigned)status;
    answer->body = car_span_of(end + 4, len - (size_t)(end + 4 - at));
    return true;
}

int car_http_ask(const struct car_http_question *question, struct car_http_answer *answer, char *why, size_t size) {
    char request[1024];
    int request_len = snprintf(request, sizeof request,
                               "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", question->target);
    if (request_len < 0 || (size_t)request_len >= sizeof request) {
        return fail(why, size, "the path is too long");
    }
    struct line line = {.fd = reach(question, why, size), .deadline_us = question->deadline_us};
    if (line.fd < 0) {
        return -1;
    }
    size_t len = 0;
    int err = is_a_proxy(question, line.fd) ? put(&line, LOCAL, sizeof LOCAL) : 0;
    err = err || !question->tls ? err : speak_tls(&line);
    err = err ? err : put(&line, request, (size_t)request_len);
    err = err ? err : take(&line, answer->bytes, sizeof answer->bytes, &len);
    hang_up(&line);
    if (err == EPROTO) {
        return fail(why, size, "the answer is no TLS");
    }
    if (err) {
        return fail(why, size, err == ETIMEDOUT ? "no answer in time" : strerror(err));
    }
    return read_answer(answer, len) ? 0 : fail(why, size, "the answer is no HTTP");
}
