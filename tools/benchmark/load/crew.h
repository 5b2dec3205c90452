#ifndef CARILLON_LOAD_CREW_H
#define CARILLON_LOAD_CREW_H

#include <stdint.h>

struct load;

/* The threads of all loops but the main one's. Where there are none to be had, that is the end of the process. */
void crew_start(struct load *load);
void crew_stop(struct load *load);

/* Processor time of each loop's thread so far, in nanoseconds, the main one's first. */
void crew_cpu(const struct load *load, uint64_t *ns);

#endif
