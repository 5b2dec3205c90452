#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carillon/base/audit.h"
#include "carillon/base/config.h"
#include "carillon/base/log.h"
#include "carillon/guard/lease.h"
#include "carillon/net/listener.h"
#include "carillon/net/net.h"
#include "carillon/runtime/control.h"
#include "carillon/runtime/worker.h"

#include "pid_file.h"
#include "pressure.h"
#include "resources.h"
#include "server_parts.h"
#include "tls_files.h"

#define DRAIN_LOOK_MS 20
#define DAY_MS        UINT64_C(86400000)

static void end(struct car_server *server) {
    car_ending_begin(&server->ending);
    if (server->upgrade.stage != CAR_UPGRADE_DONE) {
        car_listener_take_all(server->listener); /* they are told; after an upgrade, they are the successor's */
    }
    car_listener_close(&server->listener);
    car_control_tick(server->control, DRAIN_LOOK_MS);
}

/* Another process serves from now on, and this one is on its way out. */
static void pass_on(struct car_server *server, pid_t successor) {
    car_log_info("SIGUSR2: process %ld serves from now on; draining", (long)successor);
    car_service_passed_on(&server->service, (long)successor);
}

/* An upgrade has the tick for itself, and is oftener than need be. */
static void watch_memory(struct car_server *server) {
    if (server->pressure && !server->ending.begun) {
        uint64_t ms = car_pressure_look(server->pressure, server->listener);
        if (!car_upgrade_is_under_way(&server->upgrade)) {
            car_control_tick_in(server->control, ms);
        }
    }
}

static void on_tick(void *user) {
    struct car_server *server = user;
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
    struct car_server *server = user;
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
    struct car_server *server = user;
    if (server->ending.begun) {
        car_log_warn("SIGUSR2: this server is ending: no upgrade");
    } else {
        car_upgrade_ask(&server->upgrade);
        watch_memory(server);
    }
}

static void on_reload(void *user) {
    struct car_server *server = user;
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
    const struct car_server *server = user;
    car_tls_files_warn(server->config, &server->net);
}

static const struct car_control_ops CONTROL_OPS = {
    .end = on_end, .reload = on_reload, .upgrade = on_upgrade, .tick = on_tick, .round = on_round};

static int start_workers(struct car_server *server) {
    int err = 0;
    while (!err && server->started < server->feed.worker_count) {
        err = car_worker_start(server->workers[server->started]);
        server->started += !err;
    }
    return err;
}

/* What is wrong is told here. */
static int write_pid(struct car_server *server) {
    const char *path = server->config->pid_file;
    if (path && car_pid_file_write(path) != 0) {
        fprintf(stderr, "carillon: --pid-file: %s: %s\n", path, strerror(errno));
        return CAR_ESYS;
    }
    return 0;
}

static void announce(struct car_server *server) {
    unsigned port = car_listener_port(server->listener);
    if (car_log_wants(CAR_LOG_INFO)) {
        car_log_info("listening on :%u (%s, %u workers%s)", port, server->config->host, server->feed.worker_count,
                     server->config->tls_cert ? ", TLS" : "");
    } else if (server->config->port == 0) {
        fprintf(stderr, "listening on :%u\n", port); /* nobody could know it otherwise */
    }
    car_service_ready(&server->service, server->control, server->workers, server->started, server->config->host, port);
}

static void serve(struct car_server *server) {
    int err = start_workers(server);
    if (err) {
        car_server_die("cannot start a worker", err);
        abort();
    }
    car_takeover_ready(&server->takeover);
    car_first_tenants_store(&server->first_tenants, server->workers[0]);
    car_access_advise(&server->access);
    car_tls_files_warn(server->config, &server->net);
    car_control_rounds(server->control, DAY_MS);
    announce(server);
    watch_memory(server);
    car_control_run(server->control);
    car_log_info("stopped");
}

int car_server_run(const struct car_config *config, const char *version) {
    struct car_server server = {.config = config};
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
    int err = car_server_set_up(&server, version, &CONTROL_OPS);
    err = err ? err : write_pid(&server);
    if (!err) {
        serve(&server);
    }
    if (config->pid_file) {
        car_pid_file_remove(config->pid_file);
    }
    car_listener_close(&server.listener);
    car_server_take_down(&server);
    car_audit_close();
    return err ? 1 : 0;
}
