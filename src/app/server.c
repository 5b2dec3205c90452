#include "server.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "carillon/api/api.h"
#include "carillon/base/audit.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/lease.h"
#include "carillon/guard/rooms.h"
#include "carillon/guard/users.h"
#include "carillon/net/listener.h"
#include "carillon/net/net.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"
#include "carillon/store/memory.h"
#include "carillon/store/postgres.h"
#include "carillon/store/sqlite.h"

#include "access.h"

#define DRAIN_LOOK_MS 20
#define HEAP_STEP     (1 << 20)
#define SQLITE        "sqlite:"

/* The whole process. The thread that runs it is the listener's. */
struct server {
    const struct car_config *config;
    struct car_reclaim *reclaim;
    struct car_reader *reader;
    struct car_buf named_head; /* what the feed borrows */
    struct car_feed feed;
    struct car_net net;
    struct car_api api;
    struct car_access access; /* to `api.auth` */
    struct car_worker **workers;
    unsigned started;
    struct car_control *control;
    struct car_listener *listener;
    uint64_t drain_deadline, leave_deadline;
    bool draining;
    bool leaving; /* the connections have been told */
    bool aborted;
    bool told;                                 /* what is wrong */
    struct car_note *abort_notes, *stop_notes; /* one a worker each: the first may still be on its way */
};

static void die(const char *what, int err) {
    fprintf(stderr, "carillon: %s: %s\n", what, car_control_strerror(err));
}

/* Ending: connections say good-bye until none is left or time is up, then the workers stop. */

static void stop_worker(struct car_note *note, void *owner) {
    (void)note;
    car_worker_stop(owner);
}

static void abort_worker(struct car_note *note, void *owner) {
    (void)note;
    car_net_abort(owner);
}

/* Each set of notes is posted once. */
static void tell_workers(struct server *server, struct car_note *notes,
                         void (*run)(struct car_note *note, void *owner)) {
    for (unsigned i = 0; i < server->started; i++) {
        notes[i].run = run;
        car_mailbox_post(&server->workers[i]->mailbox, &notes[i]);
    }
}

/* Events, and questions to the log, that somebody waits for. */
static unsigned publishing(const struct server *server) {
    unsigned n = 0;
    for (unsigned i = 0; i < server->started; i++) {
        n += atomic_load_explicit(&car_feed_local(server->workers[i]->feed)->publishing, memory_order_acquire);
    }
    return n;
}

/* Connections and sessions; then, when these have gone and nothing new can begin, publishers that have outlived theirs.
 */
static unsigned unfinished(const struct server *server) {
    unsigned n = car_net_left(&server->net);
    return n ? n : publishing(server);
}

static void abort_connections(struct server *server) {
    if (!server->aborted) {
        server->aborted = true;
        unsigned left = unfinished(server);
        if (left) {
            car_log_warn("closing %u connections that did not end in time", left);
        }
        tell_workers(server, server->abort_notes, abort_worker);
    }
}

/* Connections are told once what was being published is in the log, and so on its way to those who subscribe. */
static void leave_when_published(struct server *server) {
    if (!server->leaving && (publishing(server) == 0 || car_control_now(server->control) >= server->leave_deadline)) {
        server->leaving = true;
        for (unsigned i = 0; i < server->started; i++) {
            car_net_drain(server->workers[i]);
        }
    }
}

static void on_tick(void *user) {
    struct server *server = user;
    leave_when_published(server);
    if (server->leaving && unfinished(server) == 0) {
        tell_workers(server, server->stop_notes, stop_worker);
        car_control_stop(server->control);
    } else if (car_control_now(server->control) >= server->drain_deadline) {
        abort_connections(server);
    }
}

static void on_end(void *user, const char *signal_name) {
    struct server *server = user;
    if (server->draining) {
        abort_connections(server); /* asked twice: now */
        return;
    }
    server->draining = true;
    car_log_info("%s: draining", signal_name);
    car_listener_close(&server->listener);
    atomic_store(&server->net.draining, true);
    server->drain_deadline = car_control_now(server->control) + server->config->drain_timeout_ms;
    server->leave_deadline = car_control_now(server->control) + server->config->drain_timeout_ms / 2;
    car_control_tick(server->control, DRAIN_LOOK_MS);
}

static void on_reload(void *user) {
    struct server *server = user;
    if (car_audit_reopen() != 0) {
        car_log_error("SIGHUP: the audit log stays where it was: %s: %s", server->config->audit_log, strerror(errno));
    }
    if (car_access_reload(&server->access)) {
        for (unsigned i = 0; i < server->started; i++) {
            car_lease_look(server->workers[i]);
        }
    }
}

static const struct car_control_ops CONTROL_OPS = {.end = on_end, .reload = on_reload, .tick = on_tick};

/* Beginning. */

static int add_tenants(struct server *server) {
    for (size_t i = 0; i < server->config->tenants.count; i++) {
        struct car_tenant *tenant;
        struct car_span id = car_span_cstr(server->config->tenants.items[i]);
        int err = car_registry_add(server->feed.registry, server->reader, id, &tenant);
        if (err == CAR_EFULL) {
            fprintf(stderr, "carillon: cannot start: there are more tenants than --max-tenants allows\n");
            server->told = true;
        }
        if (err && err != CAR_EEXIST) {
            return err;
        }
    }
    return 0;
}

static int open_sqlite(struct server *server, const char *path, bool relaxed, char *why, size_t size) {
    const struct car_sqlite_config sqlite = {.path = path,
                                             .relaxed = relaxed,
                                             .retain_ms = server->config->retention_ms,
                                             .retain_count = server->config->retention_count};
    return car_log_sqlite(&server->feed, server->reclaim, server->reader, &sqlite, &server->feed.log, why, size);
}

static int open_postgres(struct server *server, const char *uri, bool relaxed, char *why, size_t size) {
    const struct car_postgres_config postgres = {.uri = uri,
                                                 .relaxed = relaxed,
                                                 .retain_ms = server->config->retention_ms,
                                                 .retain_count = server->config->retention_count};
    return car_log_postgres(&server->feed, server->reclaim, server->reader, &postgres, &server->feed.log, why, size);
}

/* What is wrong is told here. */
static int open_log(struct server *server) {
    const char *store = server->config->store;
    bool relaxed = server->config->durability == CAR_DURABILITY_RELAXED;
    char why[400] = "";
    if (strcmp(store, "memory:") == 0) {
        if (server->config->retention_ms) {
            car_log_warn("--retention: events in memory are forgotten by their number only");
        }
        server->feed.log = car_log_memory(&server->feed);
        return server->feed.log ? 0 : CAR_ENOMEM;
    }
    int err = strncmp(store, SQLITE, strlen(SQLITE)) == 0
                  ? open_sqlite(server, store + strlen(SQLITE), relaxed, why, sizeof why)
                  : open_postgres(server, store, relaxed, why, sizeof why);
    if (err) {
        fprintf(stderr, "carillon: %s\n", why);
        server->told = true;
    }
    return err;
}

static int open_feed(struct server *server) {
    server->reclaim = car_reclaim_new();
    server->reader = server->reclaim ? car_reader_open(server->reclaim) : NULL;
    server->feed.registry = car_registry_new(server->config->max_tenants);
    server->feed.keep = server->config->buffer_size;
    server->feed.retain = server->config->retention_count;
    car_wire_named_head(&server->named_head, car_span_cstr(server->config->sio_namespace));
    server->feed.named_head = car_buf_view(&server->named_head);
    if (server->named_head.failed || !server->reader || !server->feed.registry) {
        return CAR_ENOMEM;
    }
    server->access = (struct car_access){.auth = &server->api.auth, .config = server->config, .reader = server->reader};
    int err = car_access_prepare(&server->access, &server->feed);
    server->api.rooms = car_rooms_new(server->config->max_connections_tenant, server->config->max_connections_ip);
    err = server->api.rooms ? err : CAR_ENOMEM;
    err = err ? err : open_log(server);
    return err ? err : add_tenants(server);
}

static void fill_net(struct server *server) {
    const struct car_config *config = server->config;
    server->net.app = &car_api_app;
    server->net.app_data = &server->api;
    server->net.max_body = config->max_body_bytes;
    server->net.request_timeout_ms = config->request_timeout_ms;
    server->net.idle_timeout_ms = config->idle_timeout_ms;
    server->net.ping_interval_ms = config->ping_interval_ms;
    server->net.ping_timeout_ms = config->ping_timeout_ms;
    server->net.sse_keepalive_ms = config->sse_keepalive_ms;
    server->net.max_sessions = config->max_connections;
    server->net.trusted = config->trusted;
    server->net.trusted_count = config->trusted_proxies.count;
    server->net.proxy_protocol = config->proxy_protocol;
}

static struct car_rate_limit limit_of(const struct car_config_rate *rate) {
    return (struct car_rate_limit){.count = rate->count, .window_ms = rate->window_ms};
}

static void fill_api(struct server *server, const char *version) {
    server->api.config = server->config;
    server->api.feed = &server->feed;
    server->api.net = &server->net;
    server->api.version = version;
    server->api.started_us = car_clock_mono_us();
    server->api.rates.tenant = limit_of(&server->config->rate_limit_tenant);
    server->api.rates.ip = limit_of(&server->config->rate_limit_ip);
    server->api.rates.user = limit_of(&server->config->rate_limit_user);
    car_sio_set_up(&server->api);
}

static int open_workers(struct server *server) {
    unsigned count = server->config->threads;
    server->workers = calloc(count, sizeof(struct car_worker *));
    server->abort_notes = calloc(count, sizeof *server->abort_notes);
    server->stop_notes = calloc(count, sizeof *server->stop_notes);
    if (!server->workers || !server->abort_notes || !server->stop_notes) {
        return CAR_ENOMEM;
    }
    server->feed.workers = server->workers;
    server->net.workers = server->workers;
    for (unsigned i = 0; i < count; i++) {
        struct car_worker *worker = NULL;
        int err = car_worker_open(&worker, i, server->reclaim);
        if (err) {
            return err;
        }
        server->workers[i] = worker;
        server->feed.worker_count = i + 1;
        server->net.worker_count = i + 1;
        err = car_feed_attach(&server->feed, worker);
        err = err ? err : car_lease_attach(worker);
        err = err ? err : car_net_attach(&server->net, worker);
        if (err) {
            return err;
        }
    }
    return 0;
}

static int start_workers(struct server *server) {
    int err = 0;
    while (!err && server->started < server->feed.worker_count) {
        err = car_worker_start(server->workers[server->started]);
        server->started += !err;
    }
    return err;
}

static int open_listener(struct server *server) {
    struct car_listener_config config = {
        .host = server->config->host,
        .port = server->config->port,
        .max_connections = server->config->max_connections,
        .workers = server->workers,
        .worker_count = server->feed.worker_count,
    };
    int err = car_listener_open(&server->listener, car_control_loop(server->control), &config);
    if (err) {
        char what[300];
        snprintf(what, sizeof what, "cannot listen on %s port %u", config.host, config.port);
        die(what, err);
    }
    return err;
}

/* Takes down what was set up, in the reverse order, wherever setting up has stopped. */
static void close_all(struct server *server) {
    /* All are joined before one is freed: another may still be on its way out of a post to its mailbox. */
    for (unsigned i = server->feed.worker_count; i-- > 0;) {
        car_worker_join(server->workers[i]);
    }
    if (server->feed.log) {
        server->feed.log->ops->close(&server->feed.log); /* its thread posts to the workers */
    }
    for (unsigned i = server->feed.worker_count; i-- > 0;) {
        struct car_worker *worker = server->workers[i];
        car_net_detach(worker);
        car_lease_detach(worker);
        car_feed_detach(worker);
        car_worker_close(&worker);
    }
    free(server->workers);
    free(server->abort_notes);
    free(server->stop_notes);
    car_rooms_free(&server->api.rooms);
    car_access_close(&server->access);
    car_rates_close(&server->api.rates);
    if (server->reader) {
        car_reader_close(&server->reader);
    }
    if (server->feed.registry) {
        car_registry_free(&server->feed.registry);
    }
    if (server->reclaim) {
        car_reclaim_free(&server->reclaim);
    }
    car_buf_free(&server->named_head);
    car_control_close(&server->control);
}

/* One heap for all threads, which grows in steps worth a system call: the C library's heap of each thread grows page by
 * page, and what one thread frees is of no use to another. Its lock is met by what is larger than a block (block.h),
 * and by connections that come and go. The last line gives back what the first three take away: that large buffers stay
 * on the heap where they have been used before. */
static void set_up_heap(void) {
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TOP_PAD, HEAP_STEP);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * HEAP_STEP);
    (void)mallopt(M_MMAP_THRESHOLD, 4 * HEAP_STEP);
}

/* As many descriptors as the system lets us have: each connection is one. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void announce(const struct server *server) {
    unsigned port = car_listener_port(server->listener);
    if (car_log_wants(CAR_LOG_INFO)) {
        car_log_info("listening on :%u (%s, %u workers)", port, server->config->host, server->feed.worker_count);
    } else if (server->config->port == 0) {
        fprintf(stderr, "listening on :%u\n", port); /* nobody could know it otherwise */
    }
}

/* What is wrong is told here. */
static int open_access(struct server *server) {
    struct car_buf error = CAR_BUF_INIT;
    int err = car_access_open(&server->access, &error);
    if (error.len) {
        fprintf(stderr, "carillon: %.*s\n", (int)error.len, error.data);
        server->told = true;
    }
    car_buf_free(&error);
    return err;
}

/* What is wrong is told here. */
static int open_audit(struct server *server) {
    const struct car_config *config = server->config;
    int err = car_audit_open(config->audit_log, config->audit_format == CAR_AUDIT_JSON ? CAR_LOG_JSON : CAR_LOG_TEXT);
    if (err == CAR_ESYS) {
        fprintf(stderr, "carillon: --audit-log: %s: %s\n", config->audit_log, strerror(errno));
        server->told = true;
    }
    return err;
}

static int set_up(struct server *server, const char *version) {
    int err = car_control_open(&server->control, &CONTROL_OPS, server);
    err = err ? err : open_audit(server);
    err = err ? err : open_feed(server);
    fill_net(server);
    fill_api(server, version);
    err = err ? err : open_access(server);
    err = err ? err : car_rates_open(&server->api.rates);
    err = err ? err : open_workers(server);
    if (err && !server->told) {
        die("cannot start", err);
    }
    return err ? err : open_listener(server);
}

int car_server_run(const struct car_config *config, const char *version) {
    struct server server = {.config = config};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is the store's to report */
    set_up_heap();
    raise_descriptor_limit();
    car_log_setup(config->log_format, config->log_level);
    car_log_never_block();
    int err = set_up(&server, version);
    if (!err) {
        err = start_workers(&server);
        if (err) {
            die("cannot start a worker", err);
            abort();
        }
        announce(&server);
        car_control_run(server.control);
        car_log_info("stopped");
    }
    car_listener_close(&server.listener);
    close_all(&server);
    car_audit_close();
    return err ? 1 : 0;
}
