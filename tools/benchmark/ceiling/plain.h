#ifndef CARILLON_CEILING_PLAIN_H
#define CARILLON_CEILING_PLAIN_H

#include <stddef.h>

/* What a bare loop over the rows took. */
struct plain {
    size_t events, transactions;
    double seconds, cpu_seconds;
};

/*
 * Makes the database `to`, which must not be there, with the tables and indexes of `from` for what a log holds (log,
 * tenants, events), and inserts the events of `from` in transactions of `batch` on the average, in about the order in
 * which they came; each transaction keeps its tenants' newest, as the server does. Returns 0, or -1 when it has said on
 * stderr what is wrong.
 */
int plain_run(const char *from, const char *to, double batch, struct plain *plain);

#endif
