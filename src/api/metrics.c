#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "carillon/api/api.h"
#include "carillon/base/clock.h"
#include "carillon/feed/feed.h"
#include "carillon/feed/feed_metrics.h"
#include "carillon/feed/log.h"
#include "carillon/feed/memory.h"
#include "carillon/feed/registry.h"
#include "carillon/net/net.h"
#include "carillon/net/net_metrics.h"
#include "carillon/runtime/worker.h"

#include "api_metrics.h"
#include "call.h"
#include "overseer.h"
#include "process.h"
#include "respond.h"
#include "tops.h"

#define TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"

/* What nobody counts, but finds out when it is asked for. */
struct found {
    car_cell start_us, cpu_us, resident, virtual, descriptors, descriptors_max;
    car_cell resident_too, heap, heap_used, histories, inlets, input, output, subscribers, budget, pressure;
    car_cell trimmed;
    car_cell sessions, tenants, draining, failing;
    car_cell refused_writes, refused[CAR_REFUSALS];
    car_cell expires; /* the certificate, where there is TLS */
};

#define AT(field) .offset = offsetof(struct found, field)
#define GAUGE     .kind = CAR_METRIC_GAUGE
#define COUNTER   .kind = CAR_METRIC_COUNTER

static const struct car_metric ROWS[] = {
    {.name = "process_start_time_seconds",
     .help = "When the process began, since 1970.",
     GAUGE,
     .seconds = true,
     AT(start_us)},
    {.name = "process_cpu_seconds_total",
     .help = "Time on processors, in user and in kernel mode.",
     COUNTER,
     .seconds = true,
     AT(cpu_us)},
    {.name = "process_resident_memory_bytes", .help = "Memory in use.", GAUGE, AT(resident)},
    {.name = "process_virtual_memory_bytes", .help = "Memory that is mapped.", GAUGE, AT(virtual)},
    {.name = "process_open_fds", .help = "Open descriptors.", GAUGE, AT(descriptors)},
    {.name = "process_max_fds", .help = "Descriptors that there may be.", GAUGE, AT(descriptors_max)},
    {.name = "carillon_memory_bytes",
     .help =
         "Memory: in use in all, held by the heap, and of that handed out; and of that what tenants' budgets count: "
         "events kept, events whose publishers wait, messages that are not whole, what sockets have not taken, "
         "subscribers.",
     GAUGE,
     CAR_METRIC_LABELS("kind=\"resident\"", "kind=\"heap\"", "kind=\"heap_used\"", "kind=\"histories\"",
                       "kind=\"inlets\"", "kind=\"input\"", "kind=\"output\"", "kind=\"subscribers\""),
     AT(resident_too)},
    {.name = "carillon_memory_budget_bytes",
     .help = "Memory that may be in use (--max-memory, or the cgroup's); 0 where there is no limit.",
     GAUGE,
     AT(budget)},
    {.name = "carillon_memory_pressure",
     .help =
         "Where the process's memory is short (--max-memory): 1: new connections are refused; 2: tenants are cut, too.",
     GAUGE,
     AT(pressure)},
    {.name = "carillon_memory_trimmed_events_total",
     .help =
         "Events that have gone from memory before their time because their tenant's was short; the store has them.",
     COUNTER,
     AT(trimmed)},
    {.name = "carillon_socketio_sessions",
     .help = "Socket.IO sessions, whatever their transport.",
     GAUGE,
     AT(sessions)},
    {.name = "carillon_tenants", .help = "Tenants that there are.", GAUGE, AT(tenants)},
    {.name = "carillon_draining", .help = "1 while the server goes away.", GAUGE, AT(draining)},
    {.name = "carillon_store_failing", .help = "1 while the store takes nothing.", GAUGE, AT(failing)},
    {.name = "carillon_isolation_refused_writes_total",
     .help = "Times that the last check before the socket found another tenant's bytes and refused them: always 0, or "
             "there is a fault in the server.",
     COUNTER,
     AT(refused_writes)},
    {.name = "carillon_connections_refused_total",
     .help = "Connections answered with 503 or closed: over --max-connections, or while memory is short (but for who "
             "asks how the server is, and for tenants that use little).",
     COUNTER,
     CAR_METRIC_LABELS("reason=\"max_connections\"", "reason=\"memory\""),
     AT(refused)},
};

static const struct car_metric CERTIFICATE = {
    .name = "carillon_tls_certificate_expiry_timestamp_seconds",
    .help = "When the certificate in use ends, since 1970; only where there is TLS.",
    GAUGE,
    AT(expires)};

static uint64_t pressure_of(const struct car_api *api) {
    if (atomic_load_explicit(&api->feed->share, memory_order_relaxed)) {
        return 2;
    }
    return atomic_load_explicit(&api->net->short_of_memory, memory_order_relaxed);
}

static void add_drained(struct found *found, const struct car_drain_metrics *metrics) {
    car_cell_add(&found->histories, car_cell_get(&metrics->history));
    car_cell_add(&found->trimmed, car_cell_get(&metrics->trimmed));
}

static void add_memory(struct found *found, const struct car_feed_metrics *metrics) {
    car_cell_add(&found->inlets, car_cell_get(&metrics->queued));
    car_cell_add(&found->input, car_cell_get(&metrics->unwhole));
    car_cell_add(&found->output, car_cell_get(&metrics->unsent));
    car_cell_add(&found->subscribers, car_cell_get(&metrics->subscribers) * CAR_MEMORY_SESSION);
    add_drained(found, &metrics->drain);
}

static void not_below_zero(car_cell *cell) {
    if ((int64_t)car_cell_get(cell) < 0) {
        car_cell_set(cell, 0);
    }
}

static void find_out(const struct car_call *call, struct found *found) {
    const struct car_api *api = call->api;
    struct mallinfo2 heap = mallinfo2();
    *found = (struct found){0};
    car_cell_set(&found->start_us, (uint64_t)api->started_wall_ms * 1000);
    car_cell_set(&found->cpu_us, car_process_cpu_us());
    car_cell_set(&found->resident, car_process_resident());
    car_cell_set(&found->virtual, car_process_virtual());
    car_cell_set(&found->descriptors, car_process_descriptors());
    car_cell_set(&found->descriptors_max, car_process_descriptors_max());
    car_cell_set(&found->resident_too, car_cell_get(&found->resident));
    car_cell_set(&found->heap, heap.arena + heap.hblkhd);
    car_cell_set(&found->heap_used, heap.uordblks + heap.hblkhd);
    car_cell_set(&found->budget, api->config->max_memory);
    car_cell_set(&found->pressure, pressure_of(api));
    car_cell_set(&found->sessions, atomic_load_explicit(&api->net->sessions, memory_order_relaxed));
    car_cell_set(&found->tenants, car_registry_count(api->feed->registry));
    car_cell_set(&found->draining, atomic_load_explicit(&api->net->draining, memory_order_relaxed));
    car_cell_set(&found->failing, atomic_load_explicit(&api->feed->log->failing, memory_order_relaxed));
    car_cell_set(&found->expires, (uint64_t)atomic_load_explicit(&api->net->tls_expires, memory_order_relaxed));
    for (unsigned i = 0; i < CAR_REFUSALS; i++) {
        car_cell_set(&found->refused[i], car_cell_get(&api->net->refused[i]));
    }
    for (unsigned i = 0; i < api->net->worker_count; i++) {
        car_cell_add(&found->refused[CAR_REFUSED_FOR_MEMORY],
                     car_cell_get(&car_net_local(api->net->workers[i])->metrics->refused));
        car_cell_add(&found->refused_writes, car_cell_get(&car_net_local(api->net->workers[i])->refused_writes));
        add_memory(found, car_feed_local(api->net->workers[i]->feed)->metrics);
    }
    if (api->feed->log->metrics) {
        add_drained(found, &api->feed->log->metrics->drain);
    }
    /* What is in one block may be taken away in another, and has been looked at in between. */
    not_below_zero(&found->histories);
    not_below_zero(&found->input);
    not_below_zero(&found->output);
    not_below_zero(&found->subscribers);
}

static void write_build(const struct car_api *api, struct car_buf *out) {
    static const struct car_metric BUILD = {
        .name = "carillon_build_info", .help = "1; the label says which version this is.", .kind = CAR_METRIC_GAUGE};
    car_metrics_write_head(out, &BUILD);
    car_metrics_write_series(out, &BUILD, "version", car_span_cstr(api->version), 1);
}

/* What is counted by workers. `blocks` has room for one of each. */
static void write_counted(const struct car_feed *feed, const void **blocks, struct car_buf *out) {
    unsigned n = feed->worker_count;
    for (unsigned i = 0; i < n; i++) {
        blocks[i] = car_net_local(feed->workers[i])->metrics;
    }
    car_metrics_write(out, car_net_metric_rows, car_net_metric_count, blocks, n);
    for (unsigned i = 0; i < n; i++) {
        blocks[i] = car_api_metrics_of(feed->workers[i]);
    }
    car_metrics_write(out, car_api_metric_rows, car_api_metric_count, blocks, n);
    for (unsigned i = 0; i < n; i++) {
        blocks[i] = car_feed_local(feed->workers[i]->feed)->metrics;
    }
    car_metrics_write(out, car_feed_metric_rows, car_feed_metric_count, blocks, n);
    for (unsigned i = 0; i < n; i++) {
        blocks[i] = feed->workers[i]->metrics;
    }
    car_metrics_write(out, car_worker_metric_rows, car_worker_metric_count, blocks, n);
    blocks[0] = feed->log->metrics;
    car_metrics_write(out, car_log_metric_rows, car_log_metric_count, blocks, blocks[0] ? 1 : 0);
}

void car_metrics(struct car_call *call) {
    struct car_api *api = call->api;
    struct car_buf out = CAR_BUF_INIT;
    struct found found;
    const void *block = &found;
    const void **blocks = calloc(api->feed->worker_count, sizeof *blocks);
    bool tenants = car_may_know_tenants(call) && api->tops;
    if (!blocks) {
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
        return;
    }
    write_build(api, &out);
    find_out(call, &found);
    car_metrics_write(&out, ROWS, sizeof ROWS / sizeof *ROWS, &block, 1);
    if (api->config->tls_cert) {
        car_metrics_write(&out, &CERTIFICATE, 1, &block, 1);
    }
    write_counted(api->feed, blocks, &out);
    if (tenants) {
        car_tops_write(api->tops, api->feed, call->worker->reader, &out);
    }
    free(blocks);
    if (out.failed) {
        car_respond_problem(call->exchange, 503, "out of memory", NULL, NULL);
    } else {
        car_respond(call->exchange, &(struct car_response){.status = 200,
                                                           .type = TYPE_TEXT,
                                                           .body = car_buf_view(&out),
                                                           .headers = "Cache-Control: no-store\r\n"});
    }
    car_buf_free(&out);
}
