#ifndef CARILLON_LOAD_STRAIN_H
#define CARILLON_LOAD_STRAIN_H

#include <stdint.h>

#include "stall.h"

struct json;
struct load;

/* How hard it was for our own threads, in the time that was measured. */
struct strain {
    double busiest; /* share of it that the busiest thread was on a processor */
    struct starvation starvation;
};

/* What the threads had used when it began. */
struct strain_start {
    uint64_t began; /* by clock_now */
    uint64_t *cpu, *ticks;
};

void strain_begin(const struct load *load, struct strain_start *start);

/* Frees what strain_begin took. */
void strain_end(const struct load *load, struct strain_start *start, struct strain *strain);

/* Why a thread of ours was the limit; NULL where none was. `busy` is the share of its time that no thread may need. */
const char *strain_limit(const struct strain *strain, double busy, double starved);

/* Its figures, as members of "load". */
void strain_json(const struct strain *strain, struct json *json);

#endif
