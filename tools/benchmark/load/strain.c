#include "strain.h"

#include <stdlib.h>

#include "bytes.h"
#include "clock.h"
#include "crew.h"
#include "json.h"
#include "load.h"

/* No stall of a machine that is busy with the run alone comes near this. */
#define STALL_NS (CLOCK_NS_PER_S / 10)

void strain_begin(const struct load *load, struct strain_start *start) {
    start->cpu = memory_zeroed(load->loop_count, sizeof *start->cpu);
    start->ticks = memory_zeroed(load->loop_count, sizeof *start->ticks);
    crew_cpu(load, start->cpu);
    for (uint32_t i = 0; i < load->loop_count; i++) {
        start->ticks[i] = stall_restart(&load->loops[i].stall);
    }
    start->began = clock_now();
}

void strain_end(const struct load *load, struct strain_start *start, struct strain *strain) {
    uint64_t ns = clock_now() - start->began;
    uint64_t *cpu = memory_zeroed(load->loop_count, sizeof *cpu);
    *strain = (struct strain){0};
    crew_cpu(load, cpu);
    for (uint32_t i = 0; i < load->loop_count; i++) {
        double share = (double)(cpu[i] - start->cpu[i]) / (double)ns;
        strain->busiest = share > strain->busiest ? share : strain->busiest;
        stall_read(&load->loops[i].stall, start->ticks[i], ns, &strain->starvation);
    }
    free(cpu);
    free(start->cpu);
    free(start->ticks);
}

const char *strain_limit(const struct strain *strain, double busy, double starved) {
    if (strain->busiest > busy) {
        return "a thread of the load had no time left";
    }
    if (strain->starvation.share > starved || strain->starvation.longest > STALL_NS) {
        return "a thread of the load was not given a processor";
    }
    return NULL;
}

void strain_json(const struct strain *strain, struct json *json) {
    json_number(json, "busiest_thread", strain->busiest);
    json_number(json, "starved", strain->starvation.share);
    json_number(json, "longest_stall_us", (double)strain->starvation.longest / 1e3);
}
