#include "idle.h"

#include <stdio.h>

#include "connecting.h"
#include "crew.h"
#include "json.h"
#include "load.h"
#include "report.h"
#include "strain.h"

struct footprint {
    struct process_memory process;
    uint64_t slab;
};

static struct footprint footprint_read(const struct load *load) {
    return (struct footprint){processes_memory(&load->processes), kernel_slab()};
}

static void report(const struct load *load, const struct connecting *connecting, const struct footprint *start,
                   const struct footprint *connected, const struct strain *strain) {
    double count = load->conn_count;
    struct json json = {0};
    json_open(&json, NULL, '{');
    report_head(&json, "idle", &load->faults);
    options_json(load->options, &json);
    connecting_json(connecting, load, &json);
    report_strain(&json, strain);
    json_open(&json, "memory", '{');
    json_count(&json, "rss_start", start->process.rss);
    json_count(&json, "rss_connected", connected->process.rss);
    json_count(&json, "anon_start", start->process.anon);
    json_count(&json, "anon_connected", connected->process.anon);
    json_number(&json, "user_bytes_per_connection",
                ((double)connected->process.rss - (double)start->process.rss) / count);
    json_number(&json, "kernel_bytes_per_connection", ((double)connected->slab - (double)start->slab) / count);
    json_close(&json, '}');
    json_close(&json, '}');
    putchar('\n');
}

int idle_main(const struct options *options) {
    struct load load;
    struct connecting connecting;
    struct strain_start strain_start;
    struct strain strain;
    int code = 2;
    if (load_init(&load, options) == 0) {
        struct footprint start = footprint_read(&load);
        crew_start(&load);
        strain_begin(&load, &strain_start);
        int error = connect_all(&load, &connecting);
        strain_end(&load, &strain_start, &strain);
        if (error == 0) {
            linger(&load, options->hold);
            struct footprint connected = footprint_read(&load);
            report(&load, &connecting, &start, &connected, &strain);
            code = atomic_load(&load.faults.count) > 0;
        }
    }
    load_free(&load);
    return code;
}
