#ifndef CARILLON_LOAD_PROCESS_H
#define CARILLON_LOAD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#define PROCESSES_MAX 16

/* The server's processes, as the kernel sees them. Sums over all of them. */
struct processes {
    unsigned count;
    uint32_t pids[PROCESSES_MAX];
};

/* In bytes; 0 where there is no process. */
struct process_memory {
    uint64_t rss, anon, peak;
};

/* Whether they all live, and may be looked at. */
bool processes_live(const struct processes *processes);

/* Nanoseconds of processor time, of threads that have ended too. */
uint64_t processes_cpu(const struct processes *processes);
struct process_memory processes_memory(const struct processes *processes);

/* Lets the peak of the memory begin anew, where the kernel lets us. */
void processes_reset_peak(const struct processes *processes);

/* What the kernel's slab allocator holds on this machine, in bytes: its sockets among it. */
uint64_t kernel_slab(void);

#endif
