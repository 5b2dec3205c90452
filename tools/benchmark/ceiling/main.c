/*
 * What SQLite itself takes for the events that a server has stored: the same rows, in transactions of the same size, by
 * a bare loop (plain.c) out of memory (rows.c). It stands on nothing of the server's but the database.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "plain.h"

#define BATCH_MAX 1e6

int main(int argc, char **argv) {
    char *end = NULL;
    errno = 0;
    double batch = argc == 4 ? strtod(argv[3], &end) : 0;
    if (argc != 4 || end == argv[3] || *end || errno != 0 || !(batch >= 1 && batch <= BATCH_MAX)) {
        fputs("usage: carillon-ceiling FROM TO EVENTS: of the database FROM into TO, so many events a transaction\n",
              stderr);
        return 2;
    }
    struct plain plain;
    if (plain_run(argv[1], argv[2], batch, &plain) != 0) {
        return 1;
    }
    printf("{\"events\":%zu,\"transactions\":%zu,\"seconds\":%.6f,\"events_per_second\":%.3f,"
           "\"cpu_us_per_event\":%.6f}\n",
           plain.events, plain.transactions, plain.seconds, (double)plain.events / plain.seconds,
           plain.cpu_seconds * 1e6 / (double)plain.events);
    return 0;
}
