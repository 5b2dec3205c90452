#include "run.h"

#include <inttypes.h>
#include <stdbool.h>

#include "clock.h"
#include "connecting.h"
#include "crew.h"
#include "delivery.h"
#include "load.h"
#include "priority.h"
#include "publishing.h"
#include "report.h"
#include "strain.h"

/* Between connecting and the first event, and after the last one, for what is not to come: in seconds. */
#define SETTLE 0.2
#define AFTER  0.3

/* Where a check has failed, an event may never be over; this long without one that is, and no more is waited for. */
#define QUIET CLOCK_NS_PER_S

/* Other threads ring when an event is over, so this bounds no figure, only how late an end is noticed. */
#define LOOK (CLOCK_NS_PER_S / 10)

/* Publishes the phase's events until all are over, or nothing more is to be expected. Returns whether all are over. */
static bool run_phase(struct publishing *publishing, uint32_t count, uint64_t deadline) {
    struct load *load = publishing->load;
    struct loop *loop = &load->loops[0];
    publishing_begin(publishing, count);
    uint64_t now = clock_now();
    uint64_t moved = now;
    uint32_t over = 0;
    while (!publishing_done(publishing) && !load_hopeless(load)) {
        uint64_t until = now + LOOK < loop->due ? now + LOOK : loop->due;
        loop_turn(loop, until);
        publishing_turn(publishing);
        now = clock_now();
        if (publishing->over != over) {
            over = publishing->over;
            moved = now;
        }
        if (atomic_load(&load->faults.count) > 0 && now - moved > QUIET) {
            break;
        }
        if (now >= deadline) {
            faults_add(&load->faults,
                       "timed out: %" PRIu32 " of %" PRIu32 " events are sent, %" PRIu32 " wholly delivered",
                       publishing->issued, count, publishing->over);
            break;
        }
    }
    loop->due = UINT64_MAX;
    return publishing_done(publishing);
}

/* When the last delivery or acknowledgement of the measured phase came; `start` where none did. */
static uint64_t last_arrival(const struct load *load, uint64_t start) {
    uint64_t last = start;
    for (uint32_t i = 0; i < load->loop_count; i++) {
        uint64_t at = load->loops[i].tallies[PHASE_MEASURED].last;
        last = at > last ? at : last;
    }
    return last;
}

static void measure(struct publishing *publishing, struct figures *figures, uint64_t deadline) {
    struct load *load = publishing->load;
    struct strain_start start;
    atomic_store_explicit(&load->phase, PHASE_MEASURED, memory_order_release);
    strain_begin(load, &start);
    uint64_t cpu = processes_cpu(&load->processes);
    figures->began = clock_now();
    run_phase(publishing, load->options->events, deadline);
    figures->server_cpu_ns = processes_cpu(&load->processes) - cpu;
    strain_end(load, &start, &figures->strain);
    figures->end = processes_memory(&load->processes);
    figures->events = publishing->over;
}

static int run_connected(struct load *load, struct figures *figures) {
    uint64_t deadline = clock_now() + clock_from_seconds(load->options->timeout);
    struct publishing publishing;
    publishing_init(&publishing, load);
    figures->real_time = load->options->ahead && priority_raise();
    crew_start(load);
    linger(load, SETTLE);
    figures->connected = processes_memory(&load->processes);
    if (run_phase(&publishing, load->options->warmup, deadline)) {
        measure(&publishing, figures, deadline);
    }
    atomic_store(&load->phase, PHASE_AFTER);
    linger(load, AFTER);
    crew_stop(load);
    figures->ns = last_arrival(load, figures->began) - figures->began;
    deliveries_verify(load);
    report_run(load, &publishing, figures);
    publishing_free(&publishing);
    return atomic_load(&load->faults.count) > 0;
}

int run_main(const struct options *options) {
    struct load load;
    struct figures figures = {0};
    int code = 2;
    if (load_init(&load, options) == 0) {
        processes_reset_peak(&load.processes);
        figures.start = processes_memory(&load.processes);
        code = connect_all(&load, &figures.connecting) == 0 ? run_connected(&load, &figures) : 2;
    }
    load_free(&load);
    return code;
}
