#include "connecting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "json.h"
#include "load.h"

static int connect_loop(struct load *load, uint64_t deadline) {
    uint32_t opened = 0;
    while (load->established < load->conn_count && !load_hopeless(load)) {
        while (opened < load->conn_count && opened - load->established < load->options->inflight) {
            if (!client_open(&load->conns[opened], opened)) {
                fprintf(stderr, "carillon-load: connection %" PRIu32 ": %s\n", opened, strerror(errno));
                return -1;
            }
            opened++;
        }
        if (clock_now() >= deadline) {
            fprintf(stderr, "carillon-load: timed out with %" PRIu32 " of %" PRIu32 " sockets connected\n",
                    load->established, load->conn_count);
            return -1;
        }
        loop_turn(&load->loops[0], deadline);
    }
    return load_hopeless(load) ? -1 : 0;
}

int connect_all(struct load *load, struct connecting *connecting) {
    uint64_t cpu = processes_cpu(&load->processes);
    uint64_t start = clock_now();
    int error = connect_loop(load, start + clock_from_seconds(load->options->timeout));
    connecting->count = load->established;
    connecting->ns = clock_now() - start;
    connecting->server_cpu_ns = processes_cpu(&load->processes) - cpu;
    return error;
}

void connecting_json(const struct connecting *connecting, const struct load *load, struct json *json) {
    double seconds = clock_to_seconds(connecting->ns);
    json_open(json, "connects", '{');
    json_count(json, "count", connecting->count);
    json_number(json, "seconds", seconds);
    json_number(json, "per_second", connecting->count / seconds);
    if (load->processes.count > 0) {
        json_number(json, "server_cpu_us", (double)connecting->server_cpu_ns / 1e3 / connecting->count);
    } else {
        json_null(json, "server_cpu_us");
    }
    json_close(json, '}');
}

void linger(struct load *load, double seconds) {
    uint64_t end = clock_now() + clock_from_seconds(seconds);
    while (clock_now() < end && !load_hopeless(load)) {
        loop_turn(&load->loops[0], end);
    }
}
