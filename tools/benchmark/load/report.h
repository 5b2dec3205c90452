#ifndef CARILLON_LOAD_REPORT_H
#define CARILLON_LOAD_REPORT_H

#include <stdbool.h>

#include "connecting.h"
#include "process.h"
#include "strain.h"

struct faults;
struct json;
struct load;
struct publishing;

/* What a run measured, beside what its loops counted. */
struct figures {
    struct connecting connecting;
    struct process_memory start, connected, end;
    uint32_t events;        /* over by the end of the measured phase; the others are of that phase as well */
    uint64_t began;         /* by clock_now; 0 where the warm-up failed */
    uint64_t ns;            /* up to the last delivery or acknowledgement */
    uint64_t server_cpu_ns; /* in all of it */
    bool real_time;         /* our threads ran ahead of all others */
    struct strain strain;   /* in all of it */
};

/* The members "mode", "ok", "faults" and "config", with which every document begins. */
void report_head(struct json *json, const char *mode, const struct faults *faults);

/* The member "load" of a document about sockets that were only connected. */
void report_strain(struct json *json, const struct strain *strain);

/* Writes the document of a run. */
void report_run(const struct load *load, const struct publishing *publishing, const struct figures *figures);

#endif
