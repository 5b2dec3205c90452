#include "server_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/api/owners.h"
#include "carillon/base/audit.h"
#include "carillon/base/clock.h"
#include "carillon/base/config.h"
#include "carillon/base/err.h"
#include "carillon/base/log.h"
#include "carillon/feed/log.h"
#include "carillon/feed/registry.h"
#include "carillon/guard/lease.h"
#include "carillon/guard/rooms.h"
#include "carillon/net/listener.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/reclaim.h"
#include "carillon/runtime/worker.h"

#include "pressure.h"
#include "store.h"
#include "tls_files.h"

void car_server_die(const char *what, int err) {
    fprintf(stderr, "carillon: %s: %s\n", what, car_control_strerror(err));
}

/* On any thread. */
static void ask_for_a_look(void *control) {
    car_control_ring(control);
}

/* What is wrong is told here. */
static int add_tenants(struct car_server *server) {
    int err = car_first_tenants_add(&server->first_tenants, server->config, &server->feed, server->reader);
    if (err == CAR_EFULL) {
        fprintf(stderr, "carillon: cannot start: there are more tenants than --max-tenants allows\n");
        server->told = true;
    }
    return err;
}

/* What is wrong is told here. */
static int open_log(struct car_server *server) {
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
static int wait_for_store(struct car_server *server) {
    if (!car_takeover_wait(&server->takeover)) {
        fprintf(stderr, "carillon: the server that was to hand over has gone\n");
        server->told = true;
        return CAR_ECLOSED;
    }
    return 0;
}

static int open_feed(struct car_server *server) {
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

static void fill_net(struct car_server *server) {
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
    server->net.max_connections = config->max_connections;
    server->net.trusted = config->trusted;
    server->net.trusted_count = config->trusted_proxies.count;
    server->net.proxy_protocol = config->proxy_protocol;
}

static struct car_rate_limit limit_of(const struct car_config_rate *rate) {
    return (struct car_rate_limit){.count = rate->count, .window_ms = rate->window_ms};
}

static void fill_api(struct car_server *server, const char *version) {
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

static int open_workers(struct car_server *server) {
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

static int open_listener(struct car_server *server) {
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
        car_server_die(what, err);
    }
    return err;
}

static void fill_upgrade(struct car_server *server) {
    server->upgrade = (struct car_upgrade){.control = server->control,
                                           .net = &server->net,
                                           .log = server->feed.log,
                                           .listener = &server->listener,
                                           .pid_file = server->config->pid_file,
                                           .timeout_ms = server->config->upgrade_timeout_ms,
                                           .quiet_ms = server->config->drain_timeout_ms / 2};
}

/* What is wrong is told here. */
static int open_files(struct car_server *server) {
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
static int open_audit(struct car_server *server) {
    const struct car_config *config = server->config;
    int err = car_audit_open(config->audit_log, config->audit_format == CAR_AUDIT_JSON ? CAR_LOG_JSON : CAR_LOG_TEXT);
    if (err == CAR_ESYS) {
        fprintf(stderr, "carillon: --audit-log: %s: %s\n", config->audit_log, strerror(errno));
        server->told = true;
    }
    return err;
}

static int open_tops(struct car_server *server) {
    unsigned max = server->config->metrics_tenants;
    server->api.tops = max ? car_tops_new(max) : NULL;
    return max && !server->api.tops ? CAR_ENOMEM : 0;
}

int car_server_set_up(struct car_server *server, const char *version, const struct car_control_ops *ops) {
    int err = car_control_open(&server->control, ops, server);
    err = err ? err : open_audit(server);
    err = err ? err : open_feed(server);
    fill_net(server);
    fill_api(server, version);
    err = err ? err : open_files(server);
    err = err ? err : car_rates_open(&server->api.rates);
    err = err ? err : open_tops(server);
    err = err ? err : open_workers(server);
    if (err && !server->told) {
        car_server_die("cannot start", err);
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

void car_server_take_down(struct car_server *server) {
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
    car_first_tenants_free(&server->first_tenants);
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
