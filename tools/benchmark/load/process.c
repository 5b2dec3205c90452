#include "process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/*
 * The CPU clock of a process is the sum of what /proc/PID/task/N/schedstat gives for each thread, in nanoseconds as
 * well; but it is there in kernels without schedstat, and does not forget the threads that have ended.
 */
uint64_t processes_cpu(const struct processes *processes) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < processes->count; i++) {
        clockid_t clock;
        if (clock_getcpuclockid((pid_t)processes->pids[i], &clock) == 0) {
            sum += clock_read(clock);
        }
    }
    return sum;
}

bool processes_live(const struct processes *processes) {
    for (unsigned i = 0; i < processes->count; i++) {
        clockid_t clock;
        if (clock_getcpuclockid((pid_t)processes->pids[i], &clock) != 0) {
            return false;
        }
    }
    return true;
}

/* Adds the number of each line "key: NUMBER kB" to the sum of its key, in bytes. */
static void add_lines(const char *path, const char *const *keys, uint64_t *const *sums, unsigned count) {
    FILE *file = fopen(path, "re");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        for (unsigned i = 0; i < count; i++) {
            size_t len = strlen(keys[i]);
            if (strncmp(line, keys[i], len) == 0 && line[len] == ':') {
                *sums[i] += strtoull(line + len + 1, NULL, 10) * 1024;
            }
        }
    }
    if (file) {
        fclose(file);
    }
}

struct process_memory processes_memory(const struct processes *processes) {
    static const char *const keys[] = {"VmRSS", "RssAnon", "VmHWM"};
    struct process_memory memory = {0};
    uint64_t *const sums[] = {&memory.rss, &memory.anon, &memory.peak};
    for (unsigned i = 0; i < processes->count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", processes->pids[i]);
        add_lines(path, keys, sums, 3);
    }
    return memory;
}

void processes_reset_peak(const struct processes *processes) {
    for (unsigned i = 0; i < processes->count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%" PRIu32 "/clear_refs", processes->pids[i]);
        FILE *file = fopen(path, "we");
        if (file) {
            fputs("5\n", file); /* proc(5): the peak becomes what there is now */
            fclose(file);
        }
    }
}

uint64_t kernel_slab(void) {
    static const char *const keys[] = {"Slab"};
    uint64_t slab = 0;
    uint64_t *const sums[] = {&slab};
    add_lines("/proc/meminfo", keys, sums, 1);
    return slab;
}
