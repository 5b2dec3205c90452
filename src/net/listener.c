#include "carillon/net/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/net/net.h"
#include "carillon/runtime/worker.h"

#define BACKLOG      4096
#define BATCH        256 /* accepted before the loop looks round */
#define THICK        16  /* accepted in a millisecond: more are worth waiting for, to be accepted by the dozen */
#define NAP_MS       1
#define NAPS_MAX     200         /* at the end */
#define STARVED_MS   50          /* after running out of descriptors */
#define UNSENT_MAX   (128 << 10) /* bytes that wait in the kernel for one connection, beyond what is under way */
#define REFUSALS_MAX 256         /* connections over the limit that are answered, not just closed */

struct car_listener {
    uv_poll_t poll;
    uv_timer_t pause;
    int open_handles;
    int fd;
    uint16_t port;
    bool starved;      /* out of descriptors, and said so */
    bool refusing;     /* whoever comes */
    uint64_t now;      /* in uv_now's milliseconds */
    unsigned accepted; /* in that one */
    struct car_listener_config config;
};

/* How many connections there are, and which worker has the fewest. */
struct load {
    struct car_worker *least_busy;
    unsigned total;
    unsigned turned_away; /* of these, over the limit */
};

static struct load look(const struct car_listener *listener) {
    struct load load = {0};
    unsigned fewest = UINT32_MAX;
    for (unsigned i = 0; i < listener->config.worker_count; i++) {
        struct car_worker *worker = listener->config.workers[i];
        unsigned n = atomic_load_explicit(&worker->connections, memory_order_relaxed);
        load.total += n;
        load.turned_away += atomic_load_explicit(&worker->turned_away, memory_order_relaxed);
        if (n < fewest) {
            fewest = n;
            load.least_busy = worker;
        }
    }
    return load;
}

static struct car_net *net_of(const struct car_listener *listener) {
    return car_net_local(listener->config.workers[0])->net;
}

/* There is room: the caller has looked, and nobody else puts. */
static void deal(const struct car_listener *listener, const struct load *load, int fd) {
    struct car_worker *worker = load->least_busy;
    bool over_limit =
        listener->refusing || load->total >= (uint64_t)listener->config.max_connections + load->turned_away;
    bool dropped = over_limit && load->turned_away >= REFUSALS_MAX;
    if (over_limit && !listener->refusing) {
        car_cell_add(&net_of(listener)->refused[CAR_REFUSED_AS_TOO_MANY], 1);
    } else if (dropped) { /* whoever is told so is counted by the worker, which knows whose they are */
        car_cell_add(&net_of(listener)->refused[CAR_REFUSED_FOR_MEMORY], 1);
    }
    if (dropped) {
        close(fd);
        return;
    }
    atomic_fetch_add_explicit(&worker->turned_away, over_limit, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->connections, 1, memory_order_relaxed);
    bool put = car_arrivals_put(&car_net_local(worker)->arrivals, fd, over_limit);
    assert(put);
    (void)put;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer) {
    struct car_listener *listener = timer->data;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* Those who want to connect wait in the backlog meanwhile. */
static void pause_for(struct car_listener *listener, uint64_t ms) {
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->pause, on_pause_over, ms, 0);
}

/* Connections that exist are served on, until a descriptor is free. */
static void starve(struct car_listener *listener, int error) {
    if (!listener->starved) {
        listener->starved = true;
        car_log_warn("cannot accept connections for now: %s", strerror(error));
    }
    pause_for(listener, STARVED_MS);
}

/* Accepts one. false where there is none, or where it has to wait. */
static bool accept_one(struct car_listener *listener) {
    struct load load = look(listener);
    if (car_arrivals_is_full(&car_net_local(load.least_busy)->arrivals)) {
        pause_for(listener, NAP_MS);
        return false;
    }
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        if (listener->starved) {
            listener->starved = false;
            car_log_info("accepting connections again");
        }
        deal(listener, &load, fd);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        starve(listener, errno);
        return false;
    }
    /* Else the client has gone already, or a signal came: the next one. */
    return errno != EAGAIN && errno != EWOULDBLOCK;
}

static void announce(const struct car_listener *listener) {
    for (unsigned i = 0; i < listener->config.worker_count; i++) {
        car_arrivals_announce(&car_net_local(listener->config.workers[i])->arrivals);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct car_listener *listener = poll->data;
    uint64_t now = uv_now(poll->loop);
    (void)status;
    (void)events;
    if (now != listener->now) {
        listener->now = now;
        listener->accepted = 0;
    }
    unsigned n = 0;
    while (n < BATCH && accept_one(listener)) {
        n++;
    }
    listener->accepted += n;
    announce(listener);
    if (listener->accepted >= THICK && n < BATCH && uv_is_active((uv_handle_t *)poll)) {
        pause_for(listener, NAP_MS);
    }
}

/* Accepted sockets inherit these. Without the second, the kernel takes megabytes for one that reads slowly. */
static void set_options(int fd) {
    int on = 1;
    int unsent = UNSENT_MAX;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

static int bind_to(const struct addrinfo *address, int *out) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    set_options(fd);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int err = uv_translate_sys_error(errno);
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

static int listen_on(const char *host, uint16_t port, int *out) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        return UV_EADDRNOTAVAIL;
    }
    /* A name such as localhost may stand for both families; clients that cannot choose speak the older one. */
    static const int FAMILIES[] = {AF_INET, AF_INET6};
    int err = UV_EADDRNOTAVAIL;
    bool bound = false;
    for (size_t i = 0; i < 2 && !bound; i++) {
        for (const struct addrinfo *a = found; a && !bound; a = a->ai_next) {
            if (a->ai_family == FAMILIES[i]) {
                err = bind_to(a, out);
                bound = err == 0;
            }
        }
    }
    freeaddrinfo(found);
    return err;
}

/* It is bound, and listens, but may be set up in another way. */
static int adopt(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || listen(fd, BACKLOG) != 0) {
        int err = uv_translate_sys_error(errno);
        close(fd);
        return err;
    }
    set_options(fd);
    return 0;
}

static uint16_t port_of(int fd) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int car_listener_open(struct car_listener **out, uv_loop_t *loop, const struct car_listener_config *config) {
    struct car_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        return CAR_ENOMEM;
    }
    listener->config = *config;
    listener->fd = config->inherited;
    int err = config->inherited ? adopt(config->inherited) : listen_on(config->host, config->port, &listener->fd);
    if (!err) {
        err = uv_poll_init(loop, &listener->poll, listener->fd);
        if (err) {
            close(listener->fd);
        }
    }
    if (err) {
        free(listener);
        return err;
    }
    listener->port = port_of(listener->fd);
    listener->poll.data = listener->pause.data = listener;
    listener->open_handles = 2;
    uv_timer_init(loop, &listener->pause);
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    *out = listener;
    return 0;
}

void car_listener_hold(struct car_listener *listener) {
    uv_timer_stop(&listener->pause);
    uv_poll_stop(&listener->poll);
}

void car_listener_go_on(struct car_listener *listener) {
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* Where a worker's ring is full, or no descriptor is left, it waits for them a little. */
void car_listener_take_all(struct car_listener *listener) {
    unsigned naps = 0;
    for (unsigned n = 0; n < 2 * BACKLOG && naps < NAPS_MAX;) {
        if (accept_one(listener)) {
            n++;
        } else if (uv_is_active((uv_handle_t *)&listener->pause)) {
            uv_timer_stop(&listener->pause);
            announce(listener);
            usleep(NAP_MS * 1000);
            naps++;
        } else {
            break; /* nobody waits */
        }
    }
    announce(listener);
}

int car_listener_fd(const struct car_listener *listener) {
    return listener->fd;
}

void car_listener_refuse(struct car_listener *listener, bool all) {
    listener->refusing = all;
    atomic_store_explicit(&net_of(listener)->short_of_memory, all, memory_order_relaxed);
}

uint16_t car_listener_port(const struct car_listener *listener) {
    return listener->port;
}

static void on_closed(uv_handle_t *handle) {
    struct car_listener *listener = handle->data;
    if (--listener->open_handles == 0) {
        free(listener);
    }
}

void car_listener_close(struct car_listener **listener) {
    struct car_listener *l = *listener;
    *listener = NULL;
    if (l) {
        uv_close((uv_handle_t *)&l->poll, on_closed);
        uv_close((uv_handle_t *)&l->pause, on_closed);
        close(l->fd);
    }
}
