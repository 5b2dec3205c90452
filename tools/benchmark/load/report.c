#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"
#include "json.h"
#include "load.h"
#include "publishing.h"

#define US(ns) ((double)(ns) / 1e3)

/* A thread this busy has no time left in which to wait: the rate may be its own. An open loop has to be punctual too.
 */
#define BUSY_CLOSED 0.97
#define BUSY_OPEN   0.95

/* And so may it be where a thread would not have got a processor in this share of the time. On a quiet machine of two
 * processors, a run against one worker has up to 0.06, connecting, which both sides do with all they have, up to 0.32;
 * with two more programs that take what they get it is 0.40 and 0.54 at least. Where the workers alone use all the
 * processors, it can be 0.5, and rightly so. An open loop tells by its lateness. */
#define STARVED_CLOSED     0.25
#define STARVED_CONNECTING 0.45

/* A closed loop that runs ahead of a server with as many threads as there are processors and a disk to write to still
 * waits for what the kernel does for it, and can't be interrupted in: 0.15 to 0.3. */
#define STARVED_AHEAD 0.45

/* How late an open loop may be, whichever is more: nanoseconds, or a share of the median delivery. */
#define LATE_NS    1000000
#define LATE_SHARE 0.2

void report_head(struct json *json, const char *mode, const struct faults *faults) {
    unsigned count = atomic_load(&faults->count);
    json_text(json, "mode", mode);
    json_bool(json, "ok", count == 0);
    json_open(json, "faults", '[');
    for (unsigned i = 0; i < count && i < FAULTS_MAX; i++) {
        json_text(json, NULL, faults->texts[i]);
    }
    json_close(json, ']');
}

static void sum_tallies(const struct load *load, struct tally *sum) {
    memset(sum, 0, sizeof *sum);
    for (uint32_t i = 0; i < load->loop_count; i++) {
        const struct tally *tally = &load->loops[i].tallies[PHASE_MEASURED];
        sum->deliveries += tally->deliveries;
        sum->recvs += tally->recvs;
        sum->bytes += tally->bytes;
        histogram_merge(&sum->deliver, &tally->deliver);
        histogram_merge(&sum->ack, &tally->ack);
    }
}

static void json_percentiles(struct json *json, const char *key, const struct histogram *histogram) {
    json_open(json, key, '{');
    json_number(json, "p50", US(histogram_at(histogram, 0.5)));
    json_number(json, "p99", US(histogram_at(histogram, 0.99)));
    json_number(json, "p999", US(histogram_at(histogram, 0.999)));
    json_number(json, "max", US(histogram->max));
    json_count(json, "count", histogram->count);
    json_close(json, '}');
}

/* A figure of the server; null where its processes are not known, or where it would be a share of nothing. */
static void json_server(struct json *json, const struct load *load, const char *key, double value) {
    if (load->processes.count > 0) {
        json_number(json, key, value);
    } else {
        json_null(json, key);
    }
}

static void json_limit(struct json *json, const char *why) {
    json_bool(json, "limited", why != NULL);
    json_text(json, "why", why ? why : "");
}

void report_strain(struct json *json, const struct strain *strain) {
    json_open(json, "load", '{');
    strain_json(strain, json);
    json_limit(json, strain_limit(strain, BUSY_CLOSED, STARVED_CONNECTING));
    json_close(json, '}');
}

static void json_load(struct json *json, const struct load *load, const struct publishing *publishing,
                      const struct figures *figures, const struct tally *tally) {
    bool is_open = load->options->rate > 0;
    const struct histogram *late = &publishing->late;
    double allowed = LATE_SHARE * (double)histogram_at(&tally->deliver, 0.5);
    bool tardy = is_open && (double)histogram_at(late, 0.99) > (allowed > LATE_NS ? allowed : LATE_NS);
    double starved = is_open ? 1 : figures->real_time ? STARVED_AHEAD : STARVED_CLOSED;
    const char *why = strain_limit(&figures->strain, is_open ? BUSY_OPEN : BUSY_CLOSED, starved);
    why = !why && tardy ? "events were sent too late" : why;
    json_open(json, "load", '{');
    strain_json(&figures->strain, json);
    json_bool(json, "real_time", figures->real_time);
    if (is_open) {
        json_open(json, "late_us", '{');
        json_number(json, "p50", US(histogram_at(late, 0.5)));
        json_number(json, "p99", US(histogram_at(late, 0.99)));
        json_number(json, "max", US(late->max));
        json_close(json, '}');
    } else {
        json_null(json, "late_us");
    }
    json_limit(json, why);
    json_close(json, '}');
}

static void json_memory(struct json *json, const struct figures *figures) {
    json_open(json, "memory", '{');
    json_count(json, "rss_start", figures->start.rss);
    json_count(json, "rss_connected", figures->connected.rss);
    json_count(json, "rss_end", figures->end.rss);
    json_count(json, "rss_peak", figures->end.peak);
    json_count(json, "anon_start", figures->start.anon);
    json_count(json, "anon_connected", figures->connected.anon);
    json_count(json, "anon_end", figures->end.anon);
    json_close(json, '}');
}

void report_run(const struct load *load, const struct publishing *publishing, const struct figures *figures) {
    struct tally *tally = memory_zeroed(1, sizeof *tally);
    sum_tallies(load, tally);
    double seconds = clock_to_seconds(figures->ns);
    double events = figures->events;
    double deliveries = (double)tally->deliveries;
    struct json json = {0};
    json_open(&json, NULL, '{');
    report_head(&json, "run", &load->faults);
    options_json(load->options, &json);
    connecting_json(&figures->connecting, load, &json);
    json_count(&json, "events", figures->events);
    json_count(&json, "deliveries", tally->deliveries);
    json_number(&json, "seconds", seconds);
    json_number(&json, "events_per_second", events / seconds);
    json_number(&json, "deliveries_per_second", deliveries / seconds);
    json_server(&json, load, "server_cpu_s", clock_to_seconds(figures->server_cpu_ns));
    json_server(&json, load, "server_cpu_us_per_event", US(figures->server_cpu_ns) / events);
    json_server(&json, load, "server_cpu_us_per_delivery", US(figures->server_cpu_ns) / deliveries);
    json_percentiles(&json, "deliver_us", &tally->deliver);
    json_percentiles(&json, "ack_us", &tally->ack);
    json_load(&json, load, publishing, figures, tally);
    json_memory(&json, figures);
    json_number(&json, "frame_bytes", (double)tally->bytes / deliveries);
    json_number(&json, "recv_per_delivery", (double)tally->recvs / deliveries);
    json_close(&json, '}');
    putchar('\n');
    free(tally);
}
