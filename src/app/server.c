#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/api/api.h"
#include "carillon/api/owners.h"
#include "carillon/base/audit.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/admission.h"
#include "carillon/guard/lease.h"
#include "carillon/guard/rooms.h"
#include "carillon/guard/users.h"
#include "carillon/net/listener.h"
#include "carillon/net/net.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "access.h"
#include "ending.h"
#include "pid_file.h"
#include "pressure.h"
#include "resources.h"
#include "service.h"
#include "store.h"
#include "takeover.h"
#include "tls_files.h"
#include "upgrade.h"

#define DRAIN_LOOK_MS 20
#define DAY_MS        UINT64_C(86400000)

/* The whole process. The thread that runs it is the listener's. */
struct server {
    const struct car_config *config;
    struct car_reclaim *reclaim;
    struct car_reader *reader;
    struct car_buf named_head; /* what the feed borrows */
    struct car_feed feed;
    struct car_net net;
    struct car_admission admission; /* to `api` */
    struct car_api api;
    struct car_access access; /* to `api.auth` */
    struct car_worker **workers;
    unsigned started;
    struct car_control *control;
    struct car_listener *listener;
    struct car_pressure *pressure; /* NULL where the process has no budget */
    struct car_service service;
    struct car_takeover takeover;
    struct car_upgrade upgrade;
    struct car_ending ending;
    bool told;  /* what is wrong */
    bool asked; /* to end, by a signal */
};

static void die(const char *what, int err) {
    fprintf(stderr, "carillon: %s: %s\n", what, car_control_strerror(err));
}

static void end(struct server *server) {
    car_ending_begin(&server->ending);
    if (server->upgrade.stage != CAR_UPGRADE_DONE) {
        car_listener_take_all(server->listener); /* they are told; after an upgrade, they are the successor's */
    }
    car_listener_close(&server->listener);
    car_control_tick(server->control, DRAIN_LOOK_MS);
}

/* Another process serves from now on, and this one is on its way out. */
static void pass_on(struct server *server, pid_t successor) {
    car_log_info("SIGUSR2: process %ld serves from now on; draining", (long)successor);
    car_service_passed_on(&server->service, (long)successor);
}

/* An upgrade has the tick for itself, and is oftener than need be. */
static void watch_memory(struct server *server) {
    if (server->pressure && !server->ending.begun) {
        uint64_t ms = car_pressure_look(server->pressure, server->listener);
        if (!car_upgrade_is_under_way(&server->upgrade)) {
            car_control_tick_in(server->control, ms);
        }
    }
}

/* On any thread. */
static void ask_for_a_look(void *control) {
    car_control_ring(control);
}

static void on_tick(void *user) {
    struct server *server = user;
    car_upgrade_look(&server->upgrade);
    if (server->upgrade.stage == CAR_UPGRADE_DONE && !server->ending.begun) {
        pass_on(server, server->upgrade.successor.pid);
        car_successor_release(&server->upgrade.successor);
        end(server);
    }
    if (server->ending.begun && car_ending_look(&server->ending)) {
        car_control_stop(server->control);
    }
    watch_memory(server);
}

static void on_end(void *user, const char *signal_name) {
    struct server *server = user;
    bool again = server->asked;
    server->asked = true;
    if (again) {
        car_ending_hurry(&server->ending); /* asked twice: now */
        return;
    }
    if (server->ending.begun) {
        car_log_info("%s: draining already, for another process serves", signal_name);
        return;
    }
    if (car_upgrade_is_under_way(&server->upgrade)) {
        car_upgrade_cancel(&server->upgrade);
    }
    car_log_info("%s: draining", signal_name);
    car_service_stopping(&server->service, car_net_left(&server->net));
    end(server);
}

static void on_upgrade(void *user) {
    struct server *server = user;
    if (server->ending.begun) {
        car_log_warn("SIGUSR2: this server is ending: no upgrade");
    } else {
        car_upgrade_ask(&server->upgrade);
        watch_memory(server);
    }
}

static void on_reload(void *user) {
    struct server *server = user;
    car_service_reloading(&server->service);
    if (car_audit_reopen() != 0) {
        car_log_error("SIGHUP: the audit log stays where it was: %s: %s", server->config->audit_log, strerror(errno));
    }
    car_tls_files_reload(server->config, &server->net, server->reader);
    if (car_access_reload(&server->access)) {
        for (unsigned i = 0; i < server->started; i++) {
            car_lease_look(server->workers[i]);
        }
    }
    car_service_reloaded(&server->service);
}

/* Once a day. */
static void on_round(void *user) {
    const struct server *server = user;
    car_tls_files_warn(server->config, &server->net);
}

static const struct car_control_ops CONTROL_OPS = {
    .end = on_end, .reload = on_reload, .upgrade = on_upgrade, .tick = on_tick, .round = on_round};

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

/* What is wrong is told here. */
static int open_log(struct server *server) {
    char why[400] = "";
    int err = car_store_open(server->config, &server->feed, server->reclaim, server->reader, server->takeover.lock, why,
                             sizeof why);
    if (err) {
        fprintf(stderr, "carillon: %s\n", why);
        server->told = true;
    }
    return err;
}

/* What is wrong is told here. */
static int wait_for_store(struct server *server) {
    if (!car_takeover_wait(&server->takeover)) {
        fprintf(stderr, "carillon: the server that was to hand over has gone\n");
        server->told = true;
        return CAR_ECLOSED;
    }
    return 0;
}

static int open_feed(struct server *server) {
    server->reclaim = car_reclaim_new();
    server->reader = server->reclaim ? car_reader_open(server->reclaim) : NULL;
    server->feed.registry = car_registry_new(server->config->max_tenants);
    server->feed.keep = server->config->buffer_size;
    server->feed.retain = server->config->retention_count;
    server->feed.tenant_memory = server->config->tenant_memory;
    car_wire_named_head(&server->named_head, car_span_cstr(server->config->sio_namespace));
    server->feed.named_head = car_buf_view(&server->named_head);
    if (server->named_head.failed || !server->reader || !server->feed.registry) {
        return CAR_ENOMEM;
    }
    server->access = (struct car_access){.auth = &server->api.auth, .config = server->config, .reader = server->reader};
    int err = car_access_prepare(&server->access, &server->feed);
    server->api.rooms = car_rooms_new(server->config->max_connections_tenant, server->config->max_connections_ip);
    err = server->api.rooms ? err : CAR_ENOMEM;
    err = err ? err : wait_for_store(server);
    err = err ? err : open_log(server);
    return err ? err : add_tenants(server);
}

static void fill_net(struct server *server) {
    const struct car_config *config = server->config;
    server->net.app = &car_api_app;
    server->net.app_data = &server->api;
    server->net.owners = &car_api_owners;
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
    server->api.started_wall_ms = car_clock_wall_ms();
    server->api.rates.tenant = limit_of(&server->config->rate_limit_tenant);
    server->api.rates.ip = limit_of(&server->config->rate_limit_ip);
    server->api.rates.user = limit_of(&server->config->rate_limit_user);
    struct car_rate_limit handshakes = limit_of(&server->config->handshake_rate);
    car_admission_init(&server->admission, &handshakes);
    server->api.admission = &server->admission;
    car_sio_set_up(&server->api);
}

static int open_workers(struct server *server) {
    unsigned count = server->config->threads;
    server->workers = calloc(count, sizeof(struct car_worker *));
    server->ending = (struct car_ending){
        .net = &server->net, .control = server->control, .timeout_ms = server->config->drain_timeout_ms};
    if (!server->workers || car_ending_open(&server->ending, count) != 0) {
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
        err = err ? err : car_api_attach(worker);
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
        .inherited = server->takeover.listening,
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
    car_service_close(&server->service);
    if (server->feed.log) {
        server->feed.log->ops->close(&server->feed.log); /* its thread posts to the workers */
    }
    for (unsigned i = server->feed.worker_count; i-- > 0;) {
        struct car_worker *worker = server->workers[i];
        car_api_detach(worker);
        car_net_detach(worker);
        car_lease_detach(worker);
        car_feed_detach(worker);
        car_worker_close(&worker);
    }
    free(server->workers);
    car_ending_close(&server->ending);
    car_rooms_free(&server->api.rooms);
    car_pressure_free(&server->pressure);
    car_access_close(&server->access);
    car_tls_files_close(&server->net);
    car_rates_close(&server->api.rates);
    car_tops_free(&server->api.tops);
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

static void fill_upgrade(struct server *server) {
    server->upgrade = (struct car_upgrade){.control = server->control,
                                           .net = &server->net,
                                           .log = server->feed.log,
                                           .listener = &server->listener,
                                           .pid_file = server->config->pid_file,
                                           .timeout_ms = server->config->upgrade_timeout_ms,
                                           .quiet_ms = server->config->drain_timeout_ms / 2};
}

/* What is wrong is told here. */
static int write_pid(struct server *server) {
    const char *path = server->config->pid_file;
    if (path && car_pid_file_write(path) != 0) {
        fprintf(stderr, "carillon: --pid-file: %s: %s\n", path, strerror(errno));
        return CAR_ESYS;
    }
    return 0;
}

static void announce(struct server *server) {
    unsigned port = car_listener_port(server->listener);
    if (car_log_wants(CAR_LOG_INFO)) {
        car_log_info("listening on :%u (%s, %u workers%s)", port, server->config->host, server->feed.worker_count,
                     server->config->tls_cert ? ", TLS" : "");
    } else if (server->config->port == 0) {
        fprintf(stderr, "listening on :%u\n", port); /* nobody could know it otherwise */
    }
    car_service_ready(&server->service, server->control, server->workers, server->started, server->config->host, port);
}

/* What is wrong is told here. */
static int open_files(struct server *server) {
    struct car_buf error = CAR_BUF_INIT;
    int err = car_access_open(&server->access, &error);
    err = err ? err : car_tls_files_open(server->config, &server->net, server->reader, &error);
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

static int open_tops(struct server *server) {
    unsigned max = server->config->metrics_tenants;
    server->api.tops = max ? car_tops_new(max) : NULL;
    return max && !server->api.tops ? CAR_ENOMEM : 0;
}

static int set_up(struct server *server, const char *version) {
    int err = car_control_open(&server->control, &CONTROL_OPS, server);
    err = err ? err : open_audit(server);
    err = err ? err : open_feed(server);
    fill_net(server);
    fill_api(server, version);
    err = err ? err : open_files(server);
    err = err ? err : car_rates_open(&server->api.rates);
    err = err ? err : open_tops(server);
    err = err ? err : open_workers(server);
    if (err && !server->told) {
        die("cannot start", err);
    }
    fill_upgrade(server);
    if (!err && server->config->max_memory) {
        server->pressure = car_pressure_new(&server->feed, server->reader, server->config->max_memory);
        err = server->pressure ? 0 : CAR_ENOMEM;
        server->feed.filling.ask = ask_for_a_look;
        server->feed.filling.user = server->control;
    }
    return err ? err : open_listener(server);
}

static void serve(struct server *server) {
    int err = start_workers(server);
    if (err) {
        die("cannot start a worker", err);
        abort();
    }
    car_takeover_ready(&server->takeover);
    car_access_advise(&server->access);
    car_tls_files_warn(server->config, &server->net);
    car_control_rounds(server->control, DAY_MS);
    announce(server);
    watch_memory(server);
    car_control_run(server->control);
    car_log_info("stopped");
}

int car_server_run(const struct car_config *config, const char *version) {
    struct server server = {.config = config};
    const char *why = NULL;
    if (!car_takeover_read(&server.takeover, &why)) {
        fprintf(stderr, "carillon: cannot start: %s\n", why);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is the store's to report */
    car_resources_claim();
    car_log_setup(config->log_format, config->log_level);
    car_log_never_block();
    car_service_open(&server.service);
    int err = set_up(&server, version);
    err = err ? err : write_pid(&server);
    if (!err) {
        serve(&server);
    }
    if (config->pid_file) {
        car_pid_file_remove(config->pid_file);
    }
    car_listener_close(&server.listener);
    close_all(&server);
    car_audit_close();
    return err ? 1 : 0;
}
